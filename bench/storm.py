"""Why: a storm over more bots than `make test` has time for, from the command line. The storm itself is one of tests/integration/operator.

It never judges by time: a storm is good when everything is as wanted in the end and nothing is written any more.
"""

import contextlib
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.running import tell
from botfleet_tools.servers import ApiServer, Postgres, Redis
from tests.integration.operator.harness import Database, Installation, install_crds
from tests.integration.operator.storms.storm import Options as StormOptions
from tests.integration.operator.storms.storm import Outcome, Storm

MOST_LINES = 20  # of what is wrong


@dataclass
class Options:
    """What the command line says."""

    objects: int
    kills: int
    events: float
    namespaces: int
    seed: int | None


@contextlib.contextmanager
def installation(namespaces: int, *, audit: bool = False) -> Iterator[Installation]:
    """Servers, a migrated database and namespaces; no operator yet. All of it ends with the block."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="botfleet-bench-")))
        api = stack.enter_context(ApiServer(audit=audit))
        postgres = stack.enter_context(Postgres(version="15"))
        redis = stack.enter_context(Redis())
        install_crds(api)
        database = Database(postgres, folder)
        database.prepare()
        database.migrate()
        made = Installation(api, database, redis, folder)
        made.prepare(namespaces)
        stack.callback(made.close)
        yield made


async def run(options: Options) -> int:
    """Prints what happened and what is wrong; 1 when anything is."""
    seed = options.seed if options.seed is not None else secrets.randbelow(2**31)
    print(f"a storm over {options.objects} bots, seed {seed}")
    with installation(options.namespaces) as made:
        storm = Storm(
            made, StormOptions(options.objects, seed, options.kills, options.events, settle_seconds=300), tell
        )
        outcome = await storm.run()
    return _print(outcome)


def _print(outcome: Outcome) -> int:
    for what, counted in (("events", outcome.events), ("faults", outcome.met)):
        print(f"{what:<18} {counted.total()}")
        for name, number in counted.most_common():
            print(f"  {number:>6} {name}")
    print(f"{'operator starts':<18} {outcome.starts}")
    print(f"{'its writes':<18} {outcome.writes}")
    print(f"{'bots erased':<18} {outcome.erased}")
    print(f"{'storm':<18} {outcome.storm_seconds:.1f} s")
    print(f"{'as wanted after':<18} {outcome.settled_seconds:.1f} s")
    for what, lines in outcome.wrong.items():
        print(f"{what}: {len(lines)}")
        print("\n".join(f"  {line[:300]}" for line in lines[:MOST_LINES]))
    print(f"{'wrong':<18} {', '.join(outcome.wrong) or 'nothing'}")
    return 1 if outcome.wrong else 0
