"""Why: what goes wrong in a run, one after the other, and over at its end. What can hit one bot alone hits them in turn."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.rig import BenchBot, Rig

Act = Callable[[Rig, BenchBot], Awaitable[object]]
"""With the bot whose turn it is."""
FROZEN_SECONDS = 2.0
GONE_SECONDS = 5.0


async def _nothing(_: Rig, __: BenchBot) -> None:
    """It heals by itself."""


@dataclass(frozen=True)
class Fault:
    """Harm that is done, and undone: after a while if it is `lasting`, else at once."""

    name: str
    harm: Act
    heal: Act = _nothing
    lasting: bool = False
    one_bot: bool = False


async def _kill(_: Rig, bot: BenchBot) -> None:
    await bot.runner.kill()


async def _start(_: Rig, bot: BenchBot) -> None:
    """As a container is that ended for the first time in a while."""
    await bot.start()


async def _cut(rig: Rig, bot: BenchBot) -> None:
    await rig.telegram.admin.cut(bot.username)


async def _fail_postgresql(rig: Rig, _: BenchBot) -> None:
    """Not gracefully: it stands still for a while first."""
    rig.installation.server.pause()
    await asyncio.sleep(FROZEN_SECONDS)
    rig.installation.server.kill()


async def _start_postgresql(rig: Rig, _: BenchBot) -> None:
    await asyncio.to_thread(rig.installation.server.start)


async def _confuse_model(rig: Rig, _: BenchBot) -> None:
    # Nonsense once each: a turn that gets it three times is given up, as failed with its reason.
    for effect in ("broken_json", "empty"):
        await rig.model.admin.add_fault(effect, times=1)
    await rig.model.admin.add_fault("status", times=None)


async def _start_model_anew(rig: Rig, _: BenchBot) -> None:
    await rig.model.stop()
    await asyncio.sleep(GONE_SECONDS)
    await rig.model.start()


async def _freeze_redis(rig: Rig, _: BenchBot) -> None:
    rig.redis.pause()


async def _resume_redis(rig: Rig, _: BenchBot) -> None:
    rig.redis.resume()


_CUT = Fault("cut off by Telegram", _cut, one_bot=True)
FAULTS = (
    Fault("killed -9", _kill, _start, one_bot=True),
    _CUT,
    Fault("PostgreSQL frozen, killed and started", _fail_postgresql, _start_postgresql),
    Fault("model wrong, then gone", _confuse_model, _start_model_anew, lasting=True),
    Fault("Redis frozen", _freeze_redis, _resume_redis, lasting=True),
    _CUT,
)
