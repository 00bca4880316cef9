"""Why: what goes wrong in a run, one after the other, each for a while and over at its end. The runners are never touched."""

import asyncio
from collections.abc import Awaitable, Callable

from bench.rig import Rig

Fault = Callable[[Rig, float], Awaitable[None]]


async def _postgresql_frozen(rig: Rig, seconds: float) -> None:
    rig.installation.server.pause()
    await asyncio.sleep(seconds)
    rig.installation.server.resume()


async def _postgresql_killed(rig: Rig, seconds: float) -> None:
    rig.installation.server.kill()
    await asyncio.sleep(seconds)
    await asyncio.to_thread(rig.installation.server.start)


async def _redis_frozen(rig: Rig, seconds: float) -> None:
    rig.redis.pause()
    await asyncio.sleep(seconds)
    rig.redis.resume()


async def _model_gone(rig: Rig, seconds: float) -> None:
    await rig.model.stop()
    await asyncio.sleep(seconds)
    await rig.model.start()


async def _model_wrong(rig: Rig, seconds: float) -> None:
    # Nonsense once each: a turn that gets it three times is given up, as failed with its reason.
    faults = [await rig.model.admin.add_fault(effect, times=1) for effect in ("broken_json", "empty")]
    faults.append(await rig.model.admin.add_fault("status", times=None))
    await asyncio.sleep(seconds)
    for fault in faults:
        await rig.model.admin.remove_fault(fault.id)


async def _telegram_refuses(rig: Rig, seconds: float) -> None:
    fault = await rig.telegram.admin.add_fault("refuse", times=None)
    await rig.telegram.admin.cut()
    await asyncio.sleep(seconds)
    await rig.telegram.admin.remove_fault(fault.id)


FAULTS: dict[str, Fault] = {
    "Telegram cuts and refuses": _telegram_refuses,
    "PostgreSQL frozen": _postgresql_frozen,
    "model gone": _model_gone,
    "Redis frozen": _redis_frozen,
    "PostgreSQL killed": _postgresql_killed,
    "model wrong": _model_wrong,
}
