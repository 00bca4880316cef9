"""Who of the operator writes to the cluster: apply the children (strays: those of no bot), the loop the status, the recorder Events,
the leader its Lease, the Job the Secrets."""

import ast
from pathlib import Path

OPERATOR = Path(__file__).parents[3] / "operator/botfleet_operator"
WRITES = {"apply", "create", "delete", "patch", "replace"}
MAY = {
    "apply.py": {"apply", "delete", "patch"},
    "reconcile.py": {"patch"},
    "strays.py": {"delete"},
    "leader.py": {"create", "replace"},
    "events.py": {"create", "patch"},
    "bootstrap.py": {"create"},
}


def calls(source: str) -> list[ast.Call]:
    """Calls of a method of an API client that write: its own methods, or a request that is no GET."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and ast.unparse(node.func.value).endswith("api")
        ):
            reads = bool(node.args) and isinstance(node.args[0], ast.Constant) and node.args[0].value == "GET"
            if node.func.attr in WRITES or (node.func.attr == "request" and not reads):
                found.append(node)
    return found


def test_each_module_writes_what_is_its_business_and_the_others_nothing() -> None:
    wrote = {
        str(file.relative_to(OPERATOR)): {call.func.attr for call in found if isinstance(call.func, ast.Attribute)}
        for file in OPERATOR.rglob("*.py")
        if file.parent.name != "kubeapi" and (found := calls(file.read_text()))
    }
    assert wrote == MAY


def test_the_loop_writes_the_status_alone() -> None:
    (call,) = calls((OPERATOR / "reconcile.py").read_text())
    (subresource,) = [ast.literal_eval(word.value) for word in call.keywords if word.arg == "subresource"]
    assert subresource == "status"


def test_of_events_nothing_else_is_written() -> None:
    written = calls((OPERATOR / "events.py").read_text())
    assert {ast.unparse(call.args[0]) for call in written} == {"EVENTS"}


def test_a_write_would_be_seen() -> None:
    assert calls("async def f(self):\n  await self._api.patch(x)")
    assert calls("async def f(api):\n  await api.request('DELETE', path)")
    assert not calls("async def f(api):\n  await api.request('GET', path)")
    assert not calls("async def f(self):\n  await self._api.get(x)")
