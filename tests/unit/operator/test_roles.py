"""Promises of a bot's database role, as far as they can be read off the statements; a real server has them in tests/integration."""

from __future__ import annotations

from typing import cast

import pytest
from psycopg import sql

from botfleet.store.engine import Store
from botfleet_operator.provision.database import Roles

ROLE = "bf_0a1b2c3d_bbbb"


def statements(*, exists: bool = False, modern: bool = True) -> str:
    roles = Roles(cast("Store", None), "0a1b2c3d", lease_term_seconds=15)
    made: list[sql.Composed] = roles._statements(ROLE, "SCRAM-SHA-256$verifier", 3, exists=exists, modern=modern)
    return "\n".join(statement.as_string(None) for statement in made)


@pytest.mark.parametrize("exists", [False, True])
def test_a_bots_role_is_bounded_by_the_server(exists: bool) -> None:
    said = statements(exists=exists)
    assert "connection limit 6 " in said
    for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
        assert f'alter role "{ROLE}" set "{setting}" to \'5000ms\'' in said, "a third of the lease's term"


def test_a_new_role_has_no_right_beyond_its_group() -> None:
    said = statements()
    for missing in ("nosuperuser", "nocreatedb", "nocreaterole", "noreplication", "nobypassrls"):
        assert f" {missing} " in said
    assert f'grant "bf_0a1b2c3d_runner" to "{ROLE}" with inherit true, set false' in said


def test_nobody_acts_in_a_bots_name_and_an_older_server_is_not_asked_for_what_it_cannot() -> None:
    assert f'grant "{ROLE}" to current_user with inherit true, set false' in statements()
    old = statements(modern=False)
    assert "with inherit" not in old
    assert "current_user" not in old
