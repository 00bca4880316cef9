"""
Why: in a storm some bots have a runner, which says of itself what the plan wants: a stand-in for the nodes writes its health.
Never: know the operator, or what becomes of that health.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from tests.integration.operator.cluster import Cluster
from tests.integration.operator.harness import Installation
from tests.integration.operator.standin import StandIn, health_of
from tests.integration.operator.storms.plan import Act, Event, Says, Wanted

_TERM_SECONDS, _RENEW_SECONDS = 6.0, 0.7
_CALM_TERM_SECONDS = 600.0  # longer than any test lasts
_WORDS: dict[Says, dict[str, Any]] = {
    Says.WELL: {},
    Says.DISCONNECTED: {"connected": False, "receiving": None, "reason": "Disconnected"},
    Says.REFUSED: {
        "connected": False, "authorized": False, "receiving": None, "reason": "TokenInvalid", "account_id": None,
        "username": None,
    },
    Says.DEAF: {"receiving": False},
}  # fmt: skip


class Runners:
    """Of all bots that have one, in all namespaces."""

    def __init__(self) -> None:
        self._bots: dict[str, Wanted] = {}
        self._nodes: dict[str, StandIn] = {}

    @asynccontextmanager
    async def running(self, cluster: Cluster, installation: Installation) -> AsyncIterator[asyncio.Task[None]]:
        """Until the end of the block. Yields what plays them: it ends only by a mistake."""
        async with await psycopg.AsyncConnection.connect(
            installation.database.superuser_dsn, autocommit=True
        ) as database:
            for namespace in installation.namespaces:
                self._nodes[namespace] = StandIn(
                    cluster, namespace, database, says=self._says, term_seconds=_TERM_SECONDS,
                    renew_seconds=_RENEW_SECONDS,
                )  # fmt: skip
            playing = asyncio.create_task(self._play())
            try:
                yield playing
            finally:
                playing.cancel()
                await asyncio.gather(playing, return_exceptions=True)

    def expect(self, event: Event) -> None:
        """The bot is about to become so: a runner that starts from now on says what it has to say then."""
        self._bots[event.bot.name] = event.bot

    async def heard(self, event: Event) -> None:
        """It has become so: a runner that is there says what is new."""
        if event.act is Act.HEALTH:
            await self._nodes[event.bot.namespace].report(event.bot.name)

    async def hold(self) -> None:
        """From now on no lease runs out by itself: of that the operator would rightly write."""
        for node in self._nodes.values():
            await node.hold(_CALM_TERM_SECONDS)

    async def _play(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for node in self._nodes.values():
                tasks.create_task(node.run())

    def _says(self, name: str, spec_digest: str) -> dict[str, Any] | None:
        bot = self._bots[name]
        return health_of(spec_digest, bot.account, **_WORDS[bot.says]) if bot.runner else None
