"""Why: ten thousand messages through kills and faults, and what the receivers say of them."""

import asyncio
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.kill.count import Verdict, judge, numbers_of, together
from bench.kill.killer import Killer
from bench.kill.plan import Fault, Plan, Trouble, plan
from bench.rig import Rig, rig, settings_line
from bench.running import tell

HELD_SECONDS = 1.0
BEHIND = 100  # so many messages a killer may be late: then the senders wait for it
LOOK_SECONDS = 0.5
TELL_SECONDS = 15.0
UNANSWERED = (
    40  # in one chat, then the senders wait: what is beyond 50 in a chat's backlog is skipped by policy, not lost
)
PATIENCE = 60.0  # seconds without any new answer: what is missing then is lost
SEND, DIFFERENCE = "messages.sendMessage", "updates.getDifference"
_TELEGRAM_FAULTS: dict[Fault, tuple[str, str, dict[str, bool]]] = {
    Fault.DROPPED: ("drop_answer", SEND, {}),
    Fault.DROPPED_CUT: ("drop_answer", SEND, {"cut": True}),
    Fault.DIFFERENCE_CUT: ("drop_answer", DIFFERENCE, {"cut": True}),
    Fault.HELD: ("hold", SEND, {}),
    Fault.DIFFERENCE_HELD: ("hold", DIFFERENCE, {}),
}


@dataclass
class Options:
    """What the command line says."""

    messages: int
    kills: int
    faults: int
    people: int
    rate: float
    seed: int | None


@dataclass
class _Run:
    rig: Rig
    plan: Plan
    rate: float
    phones: list[str]
    killers: list[Killer]
    sent: int = 0
    killed: list[int] = field(default_factory=list)
    troubles: Counter[str] = field(default_factory=Counter)
    chats: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    got: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    seen: dict[tuple[int, int], int] = field(default_factory=dict)
    moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def hold(self) -> None:
        """Send all, with all that goes wrong meanwhile."""
        self.killed = [0 for _ in self.killers]
        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(self._tell())
            for bot in range(len(self.killers)):
                tasks.create_task(self._kill(bot))
            tasks.create_task(self._trouble(tasks))
            await self._send()
            telling.cancel()

    async def settle(self) -> Verdict:
        """Wait for the answers; then one more of each chat, since what would be said twice comes before it."""
        await self.rig.telegram.admin.clear_faults()
        await self.rig.model.admin.clear_faults()
        await asyncio.gather(*(killer.ready() for killer in self.killers))
        tell("all sent and killed; waiting for the answers")
        if await self._answered():
            for number, chat in enumerate(self.chats, self.sent + 1):
                await self._write(chat, number)
            await self._answered()
        return together(judge(sent, self.got.get(chat, [])) for chat, sent in self.chats.items())

    def fates(self) -> Counter[str]:
        """What the database says of each message that is missing: never taken in, or closed for a reason."""
        told: Counter[str] = Counter()
        with self.rig.installation.superuser() as connection:
            for chat, sent in self.chats.items():
                for number in set(sent) - set(self.got.get(chat, [])):
                    rows = connection.execute(
                        "select state, reason from botfleet.inbox where text = %s", (f"message {number}",)
                    ).fetchall()
                    told[" ".join(str(word) for word in rows[0] if word) if rows else "never taken in"] += 1
        return told

    async def _send(self) -> None:
        began = time.monotonic()
        for number, letter in enumerate(self.plan.letters, 1):
            await asyncio.sleep(max(0.0, began + number / self.rate - time.monotonic()))
            await self._until(lambda number=number: not self._late(number))  # type: ignore[misc]
            while self._unanswered(letter) >= UNANSWERED:
                await self._read(letter)
                await asyncio.sleep(LOOK_SECONDS)
            await self._write(letter, number)
            async with self.moved:
                self.sent = number
                self.moved.notify_all()

    async def _write(self, chat: tuple[int, int], number: int) -> None:
        person, bot = chat
        username = self.killers[bot].bot.username
        await self.rig.telegram.admin.send_message(self.phones[person], username, f"message {number}")
        self.chats.setdefault(chat, []).append(number)

    def _unanswered(self, chat: tuple[int, int]) -> int:
        return len(self.chats.get(chat, [])) - len(self.got.get(chat, []))

    def _late(self, number: int) -> bool:
        due = [kill for kill in self.plan.kills if kill.after + BEHIND < number]
        return any(sum(kill.bot == bot for kill in due) > done for bot, done in enumerate(self.killed))

    async def _until(self, satisfied: Callable[[], bool]) -> None:
        async with self.moved:
            await self.moved.wait_for(satisfied)

    async def _kill(self, bot: int) -> None:
        for kill in (one for one in self.plan.kills if one.bot == bot):
            await self._until(lambda kill=kill: self.sent > kill.after)  # type: ignore[misc]
            await self.killers[bot].kill(kill)
            async with self.moved:
                self.killed[bot] += 1
                self.moved.notify_all()

    async def _trouble(self, tasks: asyncio.TaskGroup) -> None:
        for trouble in self.plan.troubles:
            await self._until(lambda trouble=trouble: self.sent > trouble.after)  # type: ignore[misc]
            await self._make(trouble, tasks)
            self.troubles[trouble.fault] += 1

    async def _make(self, trouble: Trouble, tasks: asyncio.TaskGroup) -> None:
        bot = self.killers[trouble.bot].bot
        if trouble.fault is Fault.CUT:
            await self.rig.telegram.admin.cut(bot.username)
        elif trouble.fault is Fault.MODEL_ERROR:
            await self.rig.model.admin.add_fault("status", code=500, key=bot.model_key, times=1)
        elif trouble.fault is Fault.MODEL_CUT:
            await self.rig.model.admin.add_fault("cut", key=bot.model_key, times=1)
        else:
            effect, method, options = _TELEGRAM_FAULTS[trouble.fault]
            fault = await self.rig.telegram.admin.add_fault(
                effect, method=method, account=bot.username, times=1, **options
            )
            if effect == "hold":
                tasks.create_task(self._let_go(fault.id))

    async def _let_go(self, fault_id: int) -> None:
        await asyncio.sleep(HELD_SECONDS)
        await self.rig.telegram.admin.remove_fault(fault_id)

    async def _answered(self) -> bool:
        """Whether every number sent so far was named, before nothing new came for a long while."""
        newest = time.monotonic()
        while missing := [chat for chat, sent in self.chats.items() if not set(sent) <= set(self.got.get(chat, []))]:
            before = sum(map(len, self.got.values()))
            for chat in missing:
                await self._read(chat)
            if sum(map(len, self.got.values())) > before:
                newest = time.monotonic()
            elif time.monotonic() - newest > PATIENCE:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return True

    async def _read(self, chat: tuple[int, int]) -> None:
        person, bot = chat
        came = await self.rig.telegram.admin.messages(
            self.phones[person], self.killers[bot].bot.username, incoming=True, after_id=self.seen.get(chat, 0)
        )
        if came:
            self.seen[chat] = came[-1].id
            self.got.setdefault(chat, []).extend(numbers_of(message.text for message in came))

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            tell(f"{self.sent} of {len(self.plan.letters)} sent, {sum(self.killed)} kills")


async def run(options: Options) -> int:
    """Prints the figures; 1 when a message was lost, answered twice or out of order."""
    seed = secrets.randbelow(10**9) if options.seed is None else options.seed
    print(f"kill -9 of real runners, seed {seed}")
    async with rig() as made:
        bots = [await made.bot_account(), await made.user_account()]
        script = plan(
            seed,
            messages=options.messages,
            people=options.people,
            bots=len(bots),
            kills=options.kills,
            faults=options.faults,
        )
        phones = [await made.person(number) for number in range(options.people)]
        print(
            settings_line(
                messages=options.messages,
                people=options.people,
                rate=f"{options.rate:g}/s",
                accounts="one bot (token only), one user",
                PostgreSQL=made.durability(),
                Redis="on",
                debounce=0,
                typing="off",
                memory="off",
                limit="10,000 answers a minute and chat",
                lease_term="15 s",
            )
        )
        await asyncio.gather(*(bot.start() for bot in bots))
        held = _Run(made, script, options.rate, phones, [Killer(made, bot) for bot in bots])
        began = time.monotonic()
        await held.hold()
        sent = time.monotonic()
        verdict = await held.settle()
        _print(held, verdict, sent - began, time.monotonic() - began)
    return 0 if verdict.good else 1


def _print(held: _Run, verdict: Verdict, sending: float, whole: float) -> None:
    stood = sum((killer.stood for killer in held.killers), Counter[str]())
    print(f"messages sent      {verdict.sent}")
    print(f"lost               {verdict.lost}")
    for fate, count in (held.fates() if verdict.lost else Counter[str]()).items():
        print(f"  {count:4}  {fate}")
    print(f"doubled            {verdict.doubled}")
    print(f"out of order       {verdict.out_of_order}")
    if verdict.strange:
        print(f"never sent there   {verdict.strange}")
    print(f"kills -9           {stood.total()}")
    for where, count in stood.most_common():
        print(f"  {count:4}  {where}")
    print(f"faults             {held.troubles.total()}")
    for what, count in held.troubles.most_common():
        print(f"  {count:4}  {what}")
    print(f"time               {sending:.0f} s of sending, {whole:.0f} s until the last answer")
    sys.stdout.flush()
