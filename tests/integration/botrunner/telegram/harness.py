"""One Telegram side of a runner in this process, on SQLite, with a lease of its own; and the smallest bot that can use it."""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from botfleet.keys import Sealer
from botfleet.store.binding import BindingRepository
from botfleet.store.engine import Store, create_store
from botfleet.store.errors import StoreUnavailable
from botfleet.store.identity import ensure_standalone_bot
from botfleet.store.lease import LeaseRepository
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Draft, InboxRow, Intake, OutboxRow
from botfleet.store.schema import create_all_sqlite
from botfleet_simulator.client.telegram import TelegramAdmin
from botfleet_simulator.client.views import Account as SimulatedAccount
from botrunner.ownership.binding import Bindings, LocalBindings
from botrunner.ownership.keeper import LeaseKeeper, Tenure
from botrunner.telegram.connection import Account, Ended, Status, Telegram
from botrunner.telegram.ids import random_id
from botrunner.telegram.receiving import CHECK_SECONDS, Remedy
from botrunner.telegram.sender import Outcome, Sent
from botrunner.telegram.standing import EVERY_SECONDS as STANDING_SECONDS
from botrunner.telegram.standing import Standing
from botrunner.telegram.types import ApiCredentials, BotToken, Credential, Server
from tests.support.prepared import unsynced
from tests.waiting import DEADLINE, until

API = ApiCredentials(12345, "0123456789abcdef0123456789abcdef")


class FaultyPath(MessagePath):
    """A message path whose transactions fail as a test says: before they are written, or after. `alone`: those of states only."""

    fail_before = 0
    fail_after = 0
    failures = 0
    alone = 0

    async def take_in(self, intake: Intake) -> set[int]:
        cls = FaultyPath
        if intake.messages and cls.fail_before:
            cls.fail_before -= 1
            cls.failures += 1
            raise StoreUnavailable("before")
        arrived = await super().take_in(intake)
        cls.alone += intake == Intake(states=intake.states)
        if intake.messages and cls.fail_after:
            cls.fail_after -= 1
            cls.failures += 1
            raise StoreUnavailable("after")
        return arrived

    @classmethod
    def reset(cls) -> None:
        cls.fail_before = cls.fail_after = cls.failures = cls.alone = 0


@dataclass
class Life:
    """A Telegram object that runs, and what it has told."""

    telegram: Telegram
    task: "asyncio.Task[Ended]"
    pending: "asyncio.Queue[set[int]]"
    statuses: list[Status]
    remedies: list[Remedy] = field(default_factory=list)
    proofs: list[float] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)

    async def connected(self) -> None:
        await until(lambda: self.telegram.connected)

    async def stop(self) -> Ended:
        self.telegram.stop()
        return await asyncio.wait_for(self.task, DEADLINE)


class Telegrams(Protocol):
    """A simulated Telegram: the one that all tests share, or one of a test's own."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def admin_url(self) -> str: ...
    @property
    def public_key(self) -> str: ...
    @property
    def admin(self) -> TelegramAdmin: ...


@dataclass
class World:
    """A bot and two people at a simulated Telegram, and the bot's store. `since`: its calls come after this one."""

    tg: Telegrams
    number: int
    since: int
    store: Store
    folder: Path
    bot_id: str
    bot: SimulatedAccount
    term: float = 15.0
    sealer: Sealer = field(default_factory=lambda: Sealer(b"k" * 32))
    keeper: LeaseKeeper | None = None
    keeping: "asyncio.Task[None] | None" = None
    lives: list[Life] = field(default_factory=list)

    @classmethod
    async def make(cls, tg: Telegrams, folder: Path, number: int) -> "World":
        store = create_store(f"sqlite:///{folder}/bot.sqlite3")
        sa.event.listen(store.engine.sync_engine, "connect", unsynced)
        await create_all_sqlite(store)
        row = await ensure_standalone_bot(store, "hotel", "concierge")
        bot = await tg.admin.create_bot(f"concierge{number}_bot", privacy_mode=False)
        world = cls(tg, number, await tg.admin.last_call(), store, folder, row.id, bot)
        await tg.admin.create_person(world.phone, name="Alice", id=world.alice)
        await tg.admin.create_person(f"{world.phone}9", name="Bob", id=world.bob)
        return world

    @property
    def name(self) -> str:
        """The bot's username."""
        return str(self.bot.username)

    @property
    def alice(self) -> int:
        return 100_000 + self.number * 10

    @property
    def bob(self) -> int:
        return self.alice + 1

    @property
    def phone(self) -> str:
        """Alice's."""
        return f"+9996{self.number:05d}"

    async def calls(self, method: str) -> int:
        """How many such requests came since this world began, by whomever."""
        return await self.tg.admin.call_count(method, after=self.since)

    @property
    def server(self) -> Server:
        return Server(2, self.tg.host, self.tg.port, self.tg.public_key)

    @property
    def token(self) -> BotToken:
        assert self.bot.token is not None
        return BotToken(self.bot.token)

    async def tenure(self) -> Tenure:
        if self.keeper is None:
            self.keeper = LeaseKeeper(LeaseRepository(self.store, self.bot_id), "me", self.term)
            self.keeping = asyncio.create_task(self.keeper.run())
        return await asyncio.wait_for(self.keeper.wait_held(), DEADLINE)

    async def tenure_now(self) -> Tenure:
        """The tenure in hand, held or lost."""
        assert self.keeper is not None
        assert self.keeper._tenure is not None
        return self.keeper._tenure

    async def drop_lease(self) -> None:
        """Give the lease up; the next life takes a new one."""
        if self.keeper is not None and self.keeping is not None:
            self.keeping.cancel()
            await asyncio.gather(self.keeping, return_exceptions=True)
            await self.keeper.release()
        self.keeper = self.keeping = None

    async def live(
        self,
        credential: Credential | None = None,
        *,
        server: Server | None = None,
        bindings: Bindings | None = None,
        check_seconds: float = CHECK_SECONDS,
        standing_seconds: float = STANDING_SECONDS,
    ) -> Life:
        """Begin a life; the test need not end it."""
        remedies: list[Remedy] = []
        proofs: list[float] = []
        standings: list[Standing] = []
        pending: asyncio.Queue[set[int]] = asyncio.Queue()
        statuses: list[Status] = []
        telegram = Telegram(
            Account(API, credential or self.token, server or self.server),
            self.store,
            await self.tenure(),
            self.sealer,
            bindings or LocalBindings(BindingRepository(self.store), self.bot_id),
            on_pending=pending.put_nowait,
            on_status=statuses.append,
            on_proof=lambda: proofs.append(time.monotonic()),
            on_remedy=remedies.append,
            on_standing=standings.append,
            check_seconds=check_seconds,
            standing_seconds=standing_seconds,
        )
        life = Life(telegram, asyncio.create_task(telegram.run()), pending, statuses, remedies, proofs, standings)
        self.lives.append(life)
        return life

    async def path(self) -> MessagePath:
        return MessagePath(self.store, (await self.tenure()).lease, self.bot.id)

    async def texts(self, peer_id: int) -> list[str]:
        """What waits for an answer in a chat."""
        return [row.text for row in await self.pending(peer_id)]

    async def pending(self, peer_id: int) -> list[InboxRow]:
        """The rows that wait for an answer in a chat."""
        return list(await (await self.path()).pending(peer_id))

    async def wait_texts(self, peer_id: int, texts: list[str]) -> None:
        """Until just these messages wait in a chat, in this order."""
        found: list[str] = []
        try:
            async with asyncio.timeout(DEADLINE):
                while (found := await self.texts(peer_id)) != texts:  # noqa: ASYNC110 -- of the database
                    await asyncio.sleep(0.02)
        except TimeoutError:
            assert found == texts

    async def queue(
        self, peer_id: int, text: str, *, cause: str = "reply:1", access_hash: int | None = None
    ) -> OutboxRow:
        """Store one message to be sent, as an answer to nothing, and mark it attempted."""
        path = await self.path()
        number = random_id(self.bot.id, peer_id, cause, 0, 0)
        draft = Draft(cause, number, text, "t" * 32, access_hash=access_hash)
        await path.store_answer(peer_id, [], [draft], replies_are_final=True)
        row = await path.next_outgoing(peer_id)
        assert row is not None
        await path.mark_attempted(row)
        return row

    async def close(self) -> None:
        for life in self.lives:
            if not life.task.done():
                await life.stop()
        await self.drop_lease()
        await self.store.close()


class Echo:
    """The smallest bot: answers each pending message by itself, in order, from the store alone."""

    def __init__(self, world: World, life: Life) -> None:
        self._world = world
        self._life = life
        self.outcomes: list[Outcome] = []

    async def run(self) -> None:
        """Until cancelled; whatever a former one left open is done first."""
        while True:
            await self._life.telegram.sender.wait_connected()
            path = self._life.telegram.path
            assert path is not None
            for peer_id in {*await path.pending_chats(), *await path.outgoing_chats()}:
                await self._chat(path, peer_id)
            await asyncio.sleep(0.02)

    async def _chat(self, path: MessagePath, peer_id: int) -> None:
        while (row := await path.next_outgoing(peer_id)) is not None:
            await path.mark_attempted(row)
            outcome = await self._life.telegram.sender.send(row, deadline=0.5)
            self.outcomes.append(outcome)
            if not isinstance(outcome, Sent):
                return
            await path.mark_sent(row, outcome.message_id)
        for message in (await path.pending(peer_id))[:1]:
            cause = f"reply:{message.message_id}"
            number = random_id(self._world.bot.id, peer_id, cause, 0, 0)
            draft = Draft(cause, number, f"echo {message.text}", message.trace_id, access_hash=message.access_hash)
            await path.store_answer(peer_id, [message], [draft], replies_are_final=True)
