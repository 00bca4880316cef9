"""Why: the stand-in for a node, of tests/integration/operator, as a process of its own, so that its work is nobody else's.

`python -m bench.operator.standin`, its work as JSON on its input; it ends when its input does. It prints how many Deployments it serves
once it serves all that it was shown first.
"""

import asyncio
import json
import sys

import psycopg

from tests.integration.operator.cluster import Cluster, context_of
from tests.integration.operator.standin import StandIn


def _tell(served: int) -> None:
    sys.stdout.write(f"{served} served\n")
    sys.stdout.flush()


async def _main(work: dict[str, str]) -> None:
    cluster = Cluster(work["url"], context_of(work["ca"], work["certificate"], work["key"]))
    async with await psycopg.AsyncConnection.connect(work["dsn"], autocommit=True) as database:
        serving = asyncio.create_task(StandIn(cluster, work["namespace"], database).run(_tell))
        ending = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        await asyncio.wait((serving, ending), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await cluster.close()


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.stdin.readline())))
