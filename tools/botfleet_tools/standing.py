"""Why: what a tier of tests stands on is installed and built before its first test, with progress shown: a build takes
minutes, a test has two.

It calls what the tests themselves would call; nothing here is another way to get a thing.
"""

from collections.abc import Sequence

from botfleet_tools import debian
from botfleet_tools.binaries import NODE_PROGRAMS, Program, pause, resolve_all
from botfleet_tools.cluster.kind import docker_runs
from botfleet_tools.cluster.process import PACKAGES
from botfleet_tools.images import build_images
from botfleet_tools.prerequisites import check
from botfleet_tools.progress import Progress
from botfleet_tools.servers import ApiServer, Postgres, Redis
from botfleet_tools.servers.apiserver import PROGRAMS


def make_ready(tiers: Sequence[str], progress: Progress) -> None:
    """Everything that these tiers need; quick when it is there.

    Raises ToolError: what is missing on this machine and the command that installs it, or what failed and the end of its log.
    """
    # Without root and without Docker there is no node: the end-to-end tests would all be skipped, and that is no pass.
    node = "e2e" in tiers
    check({"linux", "python", "root"} if node and not docker_runs() else {"linux", "python"})
    wanted: list[Program] = []
    if "integration" in tiers:
        for version in ("15", "18"):
            Postgres.obtain(version, progress)
        Redis.obtain(progress)
        ApiServer.obtain(progress)
        wanted += [Program.HELM, Program.KUBECTL]
        wanted += [program for version, program in PROGRAMS.items() if ApiServer.unavailable(version) is None]
    if node:
        wanted += [*NODE_PROGRAMS, Program.HELM, Program.KIND]
        if not docker_runs():
            debian.ensure(PACKAGES, progress)
    resolve_all(wanted, progress)
    if node:
        pause(progress)
        build_images(progress=progress)
