"""Why: who may do what in PostgreSQL, said once as data. botfleet-migrate applies it as the owner, after the migrations.

A bot's role sees its own rows by what the server knows of it (`current_user`), never by a setting that a stolen pod could
change. Nothing is ever granted to PUBLIC, and nobody but the owner may TRUNCATE, REFERENCE or create.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from botfleet.store.engine import SCHEMA
from botfleet.store.tables import metadata

VERSIONS = "alembic_version"
OWN_POLICY = "own_rows"
ALL_POLICY = "owner_and_operator"

# Tables without a bot's rows: what is granted is all the protection that they need.
SHARED = frozenset({"installation", "tombstones", VERSIONS})
OWNED = tuple(name for name in metadata.tables if name not in SHARED)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a role may do with a table. True: all columns, or for an update all that are no part of the key."""

    select: tuple[str, ...] | bool = False
    insert: tuple[str, ...] | bool = False
    update: tuple[str, ...] | bool = False
    delete: bool = False


_READ = Grant(select=True)
_KEEP = Grant(select=True, insert=True, update=True)
_ALL = Grant(select=True, insert=True, update=True, delete=True)

RUNNER: dict[str, Grant] = {
    "installation": Grant(select=("id", "compatible_from")),
    VERSIONS: _READ,
    "bots": Grant(
        select=("id", "namespace", "name", "role_name", "credential_digest", "session_key_generation", "created_at")
    ),
    "bindings": _READ,
    # The row is made with the bot; a lock `for key share` needs the right to update something.
    "leases": Grant(select=True, update=True),
    "accounts": _KEEP,
    "update_states": _KEEP,
    "peers": _KEEP,
    "chats": _KEEP,
    # What was finished long ago is removed (retention.py).
    "inbox": _ALL,
    "outbox": _ALL,
    # A deleted message leaves the history.
    "messages": _ALL,
    # Erased with the history.
    "summaries": _ALL,
    "facts": _ALL,
    "opt_outs": Grant(select=True, insert=True, delete=True),
    "blocks": Grant(select=True, insert=True, delete=True),
    "takeovers": _KEEP,
    "controls": _KEEP,
    "starters": _KEEP,
    "events": Grant(select=True, insert=True, update=("relayed_at",), delete=True),
    "usage": _KEEP,
    "tombstones": Grant(),
}

# What goes with an account to another bot (moving.py) is moved by its key and its state; of what was sent the numbers are copied, and
# a row needs a text, which is empty. What is erased (erasure.py) is found by ids,
# of which tombstones are made. What people wrote, their names, facts of them and access hashes are not read.
OPERATOR: dict[str, Grant] = {
    "installation": Grant(select=True, update=("key_fingerprint", "cluster_uid")),
    VERSIONS: _READ,
    "bots": _ALL,
    "bindings": _ALL,
    "leases": _ALL,
    "accounts": Grant(select=("bot_id", "account_id", "credential_digest"), delete=True),
    "update_states": Grant(select=("bot_id", "account_id", "channel_id", "pts"), update=("bot_id",), delete=True),
    "peers": Grant(select=("bot_id", "account_id", "peer_id"), update=("bot_id",), delete=True),
    "opt_outs": Grant(select=True, insert=True, delete=True),
    "blocks": Grant(select=True, insert=True, delete=True),
    "inbox": Grant(
        select=("bot_id", "account_id", "peer_id", "message_id", "sender_id", "state"),
        update=("bot_id", "state", "reason", "closed_at"),
        delete=True,
    ),
    "outbox": Grant(
        select=(
            *("bot_id", "account_id", "peer_id", "position", "random_id", "state"),
            *("part", "created_at", "closed_at", "sent_message_id"),
        ),
        insert=(
            *("bot_id", "account_id", "peer_id", "position", "random_id", "state"),
            *("part", "created_at", "closed_at", "sent_message_id", "cause", "text", "trace_id"),
        ),
        update=("bot_id", "position", "history_position", "state", "reason", "closed_at"),
        delete=True,
    ),
    "messages": Grant(select=("bot_id", "account_id", "peer_id", "position", "sender_id"), delete=True),
    "summaries": Grant(select=("bot_id", "account_id", "peer_id"), delete=True),
    "facts": Grant(select=("bot_id", "account_id", "peer_id", "version"), delete=True),
    "chats": Grant(select=("bot_id", "account_id", "peer_id"), delete=True),
    "takeovers": Grant(select=("bot_id", "account_id", "peer_id"), delete=True),
    "starters": Grant(select=("bot_id", "account_id", "peer_id"), delete=True),
    "controls": Grant(select=("bot_id", "account_id"), delete=True),
    "events": Grant(select=("bot_id", "id"), delete=True),
    "usage": Grant(select=("bot_id", "day"), delete=True),
    "tombstones": Grant(select=True, insert=True),
}


def quoted(identifier: str) -> str:
    """An identifier as SQL writes it; names of roles are the administrator's."""
    return postgresql.dialect().identifier_preparer.quote_identifier(identifier)  # type: ignore[no-untyped-call]


def group_statement(runner_group: str) -> str:
    """The group that holds the grants of all bots; the operator's role makes it, to be able to put the bots' roles in."""
    name = runner_group.replace("'", "''")
    return (
        f"do $group$ begin if not exists (select from pg_catalog.pg_roles where rolname = '{name}') "
        f"then create role {quoted(runner_group)} nologin; end if; end $group$"
    )


def other_administrators(role: str) -> str:
    """A query for who else may alter a role and put others into it; superusers may always. `role`: an expression for its oid.

    From PostgreSQL 16 on that is whoever made it; before, everybody who may create roles, which this does not tell.
    """
    return (
        "select administrator.rolname from pg_catalog.pg_auth_members membership "  # noqa: S608 - a constant
        "join pg_catalog.pg_roles administrator on administrator.oid = membership.member "
        f"where membership.roleid = {role} and membership.admin_option "
        "and not administrator.rolsuper and administrator.rolname <> current_user"
    )


def statements(owner: str, operator: str, runner_group: str) -> list[str]:
    """The declared state as statements for one transaction of the owner. Running them again changes nothing.

    On a database in use they go by parts (`grants`, then `policies` of a table at a time): several tables at once would be
    waited for by bots that are waited for.

    Args:
        owner: the role that owns the tables, no superuser.
        operator: the operator's login role.
        runner_group: the group of all bots' roles; it exists (`group_statement`).
    """
    result = grants(operator, runner_group)
    for name in OWNED:
        result += policies(name, owner, operator, runner_group)
    return result


def grants(operator: str, runner_group: str) -> list[str]:
    """Who may do what with which table, for one transaction of the owner. They keep nobody from reading and writing."""
    result = [*_database(operator, runner_group), *_schema(operator, runner_group)]
    for name in (*metadata.tables, VERSIONS):
        result += _grants(name, operator, runner_group)
    return result


def policies(name: str, owner: str, operator: str, runner_group: str) -> list[str]:
    """Who sees which rows of a table of `OWNED`, for one transaction of the owner.

    What stands already is not made again: for that the table is needed alone, after all who use it and before all who come.
    """
    table = f"{SCHEMA}.{quoted(name)}"
    own = (
        "role_name = current_user"
        if name == "bots"
        else f"bot_id = (select id from {SCHEMA}.bots where role_name = current_user)"  # noqa: S608 - a constant
    )
    return [
        # How the server shows a policy depends on it.
        "set local search_path to pg_catalog",
        _row_security(table),
        _policy(name, OWN_POLICY, f"to {quoted(runner_group)} using ({own}) with check ({own})"),
        # Without it a backfill by the owner would change nothing, and say nothing.
        _policy(name, ALL_POLICY, f"to {quoted(owner)}, {quoted(operator)} using (true) with check (true)"),
    ]


def policed() -> str:
    """A query for the names of the tables that have a policy."""
    return f"select distinct tablename from pg_catalog.pg_policies where schemaname = '{SCHEMA}'"  # noqa: S608 - a constant


def _database(operator: str, runner_group: str) -> Iterable[str]:
    # The database's name is known to the server only.
    allowed = f"{quoted(operator)}, {quoted(runner_group)}".replace("'", "''").replace("%", "%%")
    yield (
        "do $grant$ begin "
        "execute pg_catalog.format('revoke all on database %I from public', pg_catalog.current_database()); "
        f"execute pg_catalog.format('grant connect on database %I to {allowed}', pg_catalog.current_database()); "
        "end $grant$"
    )


def _schema(operator: str, runner_group: str) -> Iterable[str]:
    both = f"{quoted(operator)}, {quoted(runner_group)}"
    yield f"revoke all on schema {SCHEMA} from public, {both}"
    yield f"grant usage on schema {SCHEMA} to {both}"
    # Functions are executable for everybody unless said otherwise; there are none, and a later one must say it itself.
    yield "alter default privileges revoke execute on functions from public"


def _grants(name: str, operator: str, runner_group: str) -> Iterable[str]:
    table = f"{SCHEMA}.{quoted(name)}"
    # Takes grants on columns away too.
    yield f"revoke all on table {table} from public, {quoted(operator)}, {quoted(runner_group)}"
    for role, grants in ((operator, OPERATOR), (runner_group, RUNNER)):
        rights = list(_rights(name, grants.get(name, Grant())))
        if not rights:
            continue
        yield f"grant {', '.join(rights)} on table {table} to {quoted(role)}"


def _rights(name: str, grant: Grant) -> Iterable[str]:
    if grant.select:
        yield "select" + _columns(grant.select)
    if grant.insert:
        yield "insert" + _columns(grant.insert)
    if grant.update:
        changeable = grant.update if isinstance(grant.update, tuple) else _non_key(name)
        yield "update" + _columns(changeable)
    if grant.delete:
        yield "delete"


def _columns(columns: tuple[str, ...] | bool) -> str:
    return f" ({', '.join(quoted(column) for column in columns)})" if isinstance(columns, tuple) else ""


def _non_key(name: str) -> tuple[str, ...]:
    table: sa.Table = metadata.tables[name]
    return tuple(column.name for column in table.columns if not column.primary_key)


def _row_security(table: str) -> str:
    # Forced, also for the owner: without it a mistake of the owner's would go unseen by these rules.
    return (
        "do $security$ begin if not exists (select from pg_catalog.pg_class "
        f"where oid = '{table}'::pg_catalog.regclass and relrowsecurity and relforcerowsecurity) "
        f"then alter table {table} enable row level security, force row level security; end if; end $security$"
    )


def _policy(name: str, policy: str, definition: str) -> str:
    """Its comment is a digest of what was declared and of what the server shows of it, which it writes in a way of its own.

    So it tells both: that this is what is declared now, and that nobody has changed it since.
    """
    table = f"{SCHEMA}.{quoted(name)}"
    declared = definition.replace("'", "''")
    digest = (
        f"(select pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to('{declared} ' "  # noqa: S608 - names are quoted
        "|| pg_catalog.to_jsonb(shown)::text, 'UTF8')), 'hex') from pg_catalog.pg_policies shown "
        f"where schemaname = '{SCHEMA}' and tablename = '{name}' and policyname = '{policy}')"
    )
    comment = (
        "(select pg_catalog.obj_description(oid, 'pg_policy') from pg_catalog.pg_policy "  # noqa: S608 - a constant
        f"where polrelid = '{table}'::pg_catalog.regclass and polname = '{policy}')"
    )
    return (
        f"do $policy$ begin if not coalesce({comment} = {digest}, false) then "
        f"drop policy if exists {policy} on {table}; create policy {policy} on {table} {definition}; "
        f"execute pg_catalog.format('comment on policy {policy} on {table} is %L', {digest}); end if; end $policy$"
    )
