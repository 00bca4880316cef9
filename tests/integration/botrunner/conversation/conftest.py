"""The conversation side of a runner on a real store, with a fake model and a fake Telegram, and no time lost in back-offs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from botfleet.effective import EffectiveSpec, Limits, effective
from botfleet.model import Budget
from botfleet.spec import TelegramBotSpec
from botfleet.spec.behaviour import Disclosure
from botfleet.store.engine import Store
from botfleet.store.lease import Lease
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Intake
from botfleet.store.tables import chats as chats_table
from botfleet.store.tables import inbox, messages, outbox
from botrunner.conversation import chats, outgoing, patience, trouble, workers
from botrunner.conversation.chats import Conversations
from botrunner.conversation.outgoing import Outgoing
from botrunner.conversation.starters import give_way, unless_it_is_late
from botrunner.conversation.steering import Steering
from botrunner.metrics import Metrics
from botrunner.telegram.types import Me
from tests.contracts.store.samples import incoming
from tests.integration.botrunner.conversation.fakes import FakeModel, FakeTelegram
from tests.unit.core.test_spec import MINIMAL
from tests.unit.store.conftest import *  # noqa: F403
from tests.waiting import DEADLINE, until

ME = Me(id=777, username="concierge_bot", bot=True)


def spec_of(
    *,
    debounce: float = 0.0,
    disclosure: Disclosure = Disclosure.ON_REQUEST,
    history: int = 20,
    tokens: int = 4000,
    summarize: int = 12,
    facts: bool = False,
    typing: bool = True,
    unavailable: str | None = None,
    budget: Budget | None = None,
    concurrent: int = 5,
    per_minute: int = 1000,
    admins: tuple[int, ...] = (),
    **parts: Any,
) -> EffectiveSpec:
    """`parts`: more of the spec, as an owner writes it."""
    spec = effective(TelegramBotSpec.model_validate({**MINIMAL["spec"], **parts}))
    return replace(
        spec,
        persona=replace(spec.persona, disclosure=disclosure),
        admins=admins,
        conversation=replace(
            spec.conversation,
            debounce_seconds=debounce,
            history_messages=history,
            history_tokens=tokens,
            summarize_every_messages=summarize,
            learn_facts=facts,
            typing=typing,
            unavailable_text=unavailable,
        ),
        limits=Limits(per_minute, concurrent, budget or spec.limits.budget),
    )


@pytest.fixture(autouse=True)
def no_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (chats, outgoing, patience, trouble, workers):
        monkeypatch.setattr(module, "backoff", lambda *_args, **_named: 0.0)


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set by a test when nothing has come for `debounceSeconds`, however long what came before has taken."""
    over = asyncio.Event()

    async def set_within(event: asyncio.Event, _seconds: float) -> bool:
        waiting = [asyncio.create_task(one.wait()) for one in (event, over)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
        return event.is_set()

    monkeypatch.setattr(chats, "set_within", set_within)
    return over


@dataclass
class Bot:
    """What a life of the runner has of it; `live` runs it until the block ends."""

    path: Any
    model: Any
    telegram: FakeTelegram
    spec: EffectiveSpec
    sender: Any = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __post_init__(self) -> None:
        self.metrics = Metrics()
        self.steering = Steering(self.path, self.spec, self.metrics)
        self.waits: list[datetime] = []
        self.peer_floods: list[bool] = []
        self.outgoing = Outgoing(
            self.path,
            self.sender or self.telegram,
            self.metrics,
            holds=self.steering.holds,
            unsaid=unless_it_is_late(self.path, self.spec, self.metrics),
            on_account_wait=self.waits.append,
            on_peer_flood=lambda: self.peer_floods.append(True),
            now=self.now,
        )
        self.conversations = Conversations(
            self.path,
            self.spec,
            self.model,
            ME,
            self.outgoing.poke,
            self.metrics,
            self.telegram,
            self.steering,
            before=give_way(self.path, self.metrics) if self.spec.proactive.enabled else None,
        )
        self.steering.resumed = self.look_again

    def look_again(self) -> None:
        self.conversations.look_again()
        self.outgoing.look_again()

    async def at_rest(self) -> None:
        """It has begun, and nobody works at a chat any more: what was stored is also counted."""
        workers = self.conversations._workers
        await until(lambda: workers._tasks is not None)
        async with asyncio.timeout(DEADLINE):
            await workers.idle()

    @contextlib.asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        loading = asyncio.create_task(self.steering.load())

        async def once_loaded(run: Callable[[], Awaitable[None]]) -> None:
            await asyncio.shield(loading)
            await run()

        running = [
            loading,
            *(asyncio.create_task(once_loaded(part.run)) for part in (self.outgoing, self.conversations)),
        ]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            ended = await asyncio.gather(*running, return_exceptions=True)
            shown = [*self.conversations._presence._tasks]  # it may be reading the store, which is closed next
            for task in shown:
                task.cancel()
            await asyncio.gather(*shown, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error


@dataclass
class World:
    """A store, a model and a Telegram that outlive the runner."""

    store: Store
    path: MessagePath
    model: FakeModel
    telegram: FakeTelegram

    def bot(self, **spec: Any) -> Bot:
        return Bot(self.path, self.model, self.telegram, spec_of(**spec))

    async def says(self, bot: Bot | None, *texts: str, peer_id: int = 5, first: int = 1) -> None:
        """A person writes; the messages are committed, then announced."""
        messages = [incoming(first + index, text, peer_id, date=datetime.now(UTC)) for index, text in enumerate(texts)]
        peers = await self.path.take_in(Intake(messages=tuple(messages)))
        if bot is not None:
            bot.conversations.poke(peers)

    async def wait_delivered(self, peer_id: int, count: int) -> list[str]:
        await self.telegram.wait(lambda: len(self.telegram.delivered.get(peer_id, [])) >= count)
        return self.telegram.delivered[peer_id]

    async def time_passes(self, by: timedelta) -> None:
        """What was said and stamped in this world is older by so much, as if the runner had slept."""
        async with self.store.begin() as connection:
            for column in (messages.c.date, chats_table.c.disclosed_at):
                rows = (await connection.execute(sa.select(*column.table.primary_key, column))).mappings().all()
                for row in rows:
                    if row[column.name] is not None:
                        same = [key == row[key.name] for key in column.table.primary_key]
                        change = sa.update(column.table).where(*same).values({column.name: row[column.name] - by})
                        await connection.execute(change)

    async def rows(self, table: sa.Table) -> Sequence[Any]:
        async with self.store.read() as connection:
            return (await connection.execute(sa.select(table))).all()

    async def outbox(self) -> list[tuple[str, str | None]]:
        return [(row.state, row.reason) for row in await self.rows(outbox)]

    async def inbox(self) -> list[tuple[str, str | None]]:
        return [(row.state, row.reason) for row in await self.rows(inbox)]


@pytest.fixture
def world(store: Store, lease: Lease) -> World:
    return World(store, MessagePath(store, lease, ME.id), FakeModel(), FakeTelegram())
