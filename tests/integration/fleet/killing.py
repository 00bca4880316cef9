"""Why: ends an operator before any one of the calls that leave the process, as kill -9 does."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import pytest

from botfleet.store.engine import Store
from tests.unit.operator.rig import Rig


class KilledError(BaseException):
    """No handler sees it, as none sees a kill."""


class Killing:
    """Counts the calls that leave the process, and ends it before the one that is to be its last."""

    def __init__(self, rig: Rig, last: int) -> None:
        self.rig, self.left = rig, last

    def count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KilledError

    def arm(self, patch: pytest.MonkeyPatch) -> None:
        call, begin = self.rig.api._call, self.rig.store.begin

        def counted(verb: str, kind: str, name: str) -> None:
            self.count()
            call(verb, kind, name)

        @asynccontextmanager
        async def beginning(store: Store, **settings: Any) -> Any:
            self.count()
            async with begin(**settings) as connection:
                yield connection

        patch.setattr(self.rig.api, "_call", counted)
        patch.setattr(Store, "begin", beginning)
        roles, users = self.rig.roles, self.rig.users
        for owner, names in ((roles, ("ensure", "remove")), (users, ("ensure", "remove", "erase_keys"))):
            for name in names:
                patch.setattr(owner, name, self._counted(getattr(owner, name)))
        patch.setattr(roles, "remove", self._in_two(roles.remove))

    def _in_two(self, honest: Any) -> Any:
        """As with PostgreSQL: nobody can log in, and then, in another transaction, the role has gone."""

        async def counted(role: str) -> None:
            if role in self.rig.roles.roles:
                self.rig.roles.roles[role] = 0
            await honest(role)

        return self._counted(counted)

    def _counted(self, honest: Any) -> Any:
        async def counted(*arguments: Any) -> Any:
            self.count()
            return await honest(*arguments)

        return counted
