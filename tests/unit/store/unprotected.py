"""Why: PostgreSQL grants LISTEN, NOTIFY and advisory locks to every role, so the product may use none of them.

Finds them in source text: SQL in any string constant (also a part of an f-string, or one that is put together later), a function
of SQLAlchemy's `func`, and the calls of the PostgreSQL drivers that stand for them. Docstrings are not executed and do not count.
"""

import ast
import re
from collections.abc import Iterator

# A statement begins at the start of a text, after another one, in a block, or where EXECUTE is given it in quotes.
_BEGINS = r"(?:\A|;|'|\$\w*\$|\b(?:begin|then|else|loop|do|also|instead)\b)"
_BLANK = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
_STATEMENT = re.compile(rf"{_BEGINS}{_BLANK}((?:un)?listen|notify)(?=\s|\Z|[\"*;{{%])", re.IGNORECASE | re.DOTALL)
_FUNCTION = re.compile(r"pg_(?:notify|listening_channels|(?:try_)?advisory_\w+)", re.IGNORECASE)
# psycopg, asyncpg, libpq in this order; `event.listen` and `Condition.notify` are others' words and harmless.
_CALLS = {
    *("notifies", "add_notify_handler", "remove_notify_handler"),
    *("add_listener", "remove_listener", "reset_listeners"),
    "notify_handler",
}
# Each of the words above has one of these in it: most texts have none, and need not be looked at closely.
_ANY = ("listen", "notif", "pg_advisory", "pg_try_advisory")


def in_sql(text: str) -> list[str]:
    """The words found in a text that is SQL, or a part of it."""
    lowered = text.lower()
    if not any(word in lowered for word in _ANY):
        return []
    return [hit.group(1) for hit in _STATEMENT.finditer(text)] + _FUNCTION.findall(text)


def in_python(source: str) -> list[str]:
    """The words found in a Python module, each with its line."""
    tree = ast.parse(source)
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        f"line {getattr(node, 'lineno', '?')}: {word}"
        for node in ast.walk(tree)
        if id(node) not in told
        for word in _words(node)
    ]


def _words(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
        text = node.value if isinstance(node.value, str) else node.value.decode(errors="replace")
        yield from in_sql(text)
        yield from (text for _ in range(text in _CALLS))
    names = {
        ast.Attribute: lambda n: [n.attr],
        ast.Name: lambda n: [n.id],
        ast.alias: lambda n: n.name.split("."),
        ast.keyword: lambda n: [n.arg or ""],
    }.get(type(node), lambda _: [])
    yield from (name for name in names(node) if name in _CALLS or _FUNCTION.fullmatch(name))
