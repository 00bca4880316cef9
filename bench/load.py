"""Why: the three loads of the message path: one after the other in one chat, a fixed rate over many, as much as can be."""

import asyncio
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.talker import Talker

_numbers: Iterator[int] = itertools.count(100_000)  # no number is said twice in a run


@dataclass(frozen=True)
class Exchange:
    """A message by its number, and the seconds until a reply named it."""

    number: int
    seconds: float


async def _exchange(talker: Talker, username: str) -> Exchange:
    number = next(_numbers)
    return Exchange(number, await talker.exchange(username, number))


async def one_after_the_other(talker: Talker, username: str, count: int) -> list[Exchange]:
    """Each once the one before it was answered."""
    return [await _exchange(talker, username) for _ in range(count)]


async def at_rate(
    talkers: Sequence[Talker], username: str, rate: float, count: int, chance: random.Random
) -> list[Exchange]:
    """At a steady rate whatever comes back, each from somebody else."""
    began = time.perf_counter()
    order = [talker for _ in range(count // len(talkers) + 1) for talker in chance.sample(talkers, len(talkers))]
    async with asyncio.TaskGroup() as tasks:
        under_way = []
        for index, talker in enumerate(order[:count]):
            await asyncio.sleep(max(0.0, began + index / rate - time.perf_counter()))
            under_way.append(tasks.create_task(_exchange(talker, username)))
    return [task.result() for task in under_way]


async def flat_out(talkers: Sequence[Talker], username: str, count: int) -> float:
    """Each says the next as soon as the last was answered; answers a second."""

    async def talk(talker: Talker, number: int) -> None:
        for _ in range(number):
            await _exchange(talker, username)

    each = max(1, count // len(talkers))
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for talker in talkers:
            tasks.create_task(talk(talker, each))
    return each * len(talkers) / (time.perf_counter() - began)
