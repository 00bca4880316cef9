"""Installs the Debian packages that a tool needs, after saying so.

It starts no service, neither now nor at the next boot, and leaves nothing behind that keeps other packages' services
from starting.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from botfleet_tools.cache import cache_dir, exclusive
from botfleet_tools.errors import ToolError
from botfleet_tools.progress import Progress
from botfleet_tools.run import CommandFailedError, capture, run

INSTALL_DEADLINE_SECONDS = 900.0
UPDATE_DEADLINE_SECONDS = 180.0
POLICY_FILE = Path("/usr/sbin/policy-rc.d")
POLICY = "#!/bin/sh\n# written by botfleet-tools while it installs packages: no service is started\nexit 101\n"
UNITS = Path("/etc/systemd/system")
# postgresql-common makes and starts a cluster on installation unless this file says otherwise.
CREATECLUSTER = Path("/etc/postgresql-common/createcluster.d/botfleet.conf")


class PackagesMissingError(ToolError):
    """Packages are missing and cannot be installed from here."""


def parse_installed(dpkg_output: str) -> set[str]:
    """Package names that ``dpkg-query -W -f '${binary:Package} ${db:Status-Status}\\n'`` lists as installed."""
    found = set()
    for line in dpkg_output.splitlines():
        name, _, status = line.partition(" ")
        if status == "installed":
            found.add(name.partition(":")[0])
    return found


def missing(packages: Iterable[str]) -> list[str]:
    """Those of ``packages`` that are not installed, in their order.

    Raises PackagesMissingError where there is no dpkg.
    """
    wanted = list(packages)
    if shutil.which("dpkg-query") is None:
        raise PackagesMissingError(
            "this is no Debian machine: install what these Debian packages hold by its own means: " + " ".join(wanted)
        )
    listing = capture(["dpkg-query", "-W", "-f", "${binary:Package} ${db:Status-Status}\n"], deadline_seconds=30)
    installed = parse_installed(listing)
    return [name for name in wanted if name not in installed]


def ensure(packages: Iterable[str], progress: Progress) -> None:
    """Install those of ``packages`` that are missing, saying so first; does nothing when all are there.

    Raises PackagesMissingError with the command to run when this process may not install packages, and
    CommandFailedError with the end of apt's log when the installation fails.
    """
    absent = missing(packages)
    if not absent:
        return
    if os.geteuid() != 0:
        raise PackagesMissingError(
            f"packages are missing, run: sudo apt-get install --no-install-recommends {' '.join(absent)}"
        )
    with exclusive("apt", deadline_seconds=INSTALL_DEADLINE_SECONDS):
        absent = missing(absent)
        if absent:
            _install(absent, progress)


def _install(absent: list[str], progress: Progress) -> None:
    names = " ".join(absent)
    progress.say(f"Installing Debian packages (their services stay off): {names}")
    progress.fetched.append(f"Debian packages {names}")
    log = cache_dir() / "logs" / "apt.log"
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    # dpkg's own lock is waited for: another apt may be at work on a fresh machine.
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=2"]
    install = [*apt, "install", "--yes", "--no-install-recommends", *absent]
    with progress.step(f"Debian packages {names}") as step, _no_services():
        try:
            step.update("apt-get install")
            run(install, log=log, deadline_seconds=INSTALL_DEADLINE_SECONDS, env=environment)
        except CommandFailedError:
            # A fresh machine has no package lists, or old ones that name files that are gone.
            step.update("apt-get update")
            run([*apt, "update"], log=log, deadline_seconds=UPDATE_DEADLINE_SECONDS, env=environment)
            step.update("apt-get install")
            run(install, log=log, deadline_seconds=INSTALL_DEADLINE_SECONDS, env=environment)


def _enabled() -> set[Path]:
    """The links that start services at boot."""
    return set(UNITS.glob("*.wants/*"))


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Keep packages from starting services, now or at the next boot; nothing but that is left of it afterwards."""
    enabled = _enabled()
    wrote_policy = not POLICY_FILE.exists() or POLICY_FILE.read_text(errors="replace") == POLICY
    made_folder = not CREATECLUSTER.parent.parent.exists()
    if wrote_policy:
        POLICY_FILE.write_text(POLICY)
        POLICY_FILE.chmod(0o755)
    CREATECLUSTER.parent.mkdir(parents=True, exist_ok=True)
    CREATECLUSTER.write_text("create_main_cluster = false\n")
    try:
        yield
    finally:
        CREATECLUSTER.unlink(missing_ok=True)
        if made_folder:
            with contextlib.suppress(OSError):  # not empty: postgresql-common is installed now, and owns it
                CREATECLUSTER.parent.rmdir()
                CREATECLUSTER.parent.parent.rmdir()
        if wrote_policy:
            POLICY_FILE.unlink(missing_ok=True)
        for link in _enabled() - enabled:
            link.unlink()
