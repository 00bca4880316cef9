"""Runs a program of an unpacked image the way a restricted pod would: its user, no capabilities, a read-only root file
system, no network but a loopback of its own. For tests of images where no container engine runs; it needs root.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from botfleet_tools.errors import ToolError
from botfleet_tools.images.archive import ArchivedImage
from botfleet_tools.run import capture

# All mounts, processes and the loopback are of namespaces that end with the program.
NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--propagation", "private")


@dataclass(frozen=True)
class Sandbox:
    """An unpacked image. ``volumes`` maps folders of this machine to where the program finds them, writable."""

    root: Path
    image: ArchivedImage
    volumes: Mapping[Path, str] = field(default_factory=dict)

    def run(self, argv: Sequence[str], *, deadline_seconds: float, environment: Mapping[str, str] | None = None) -> str:
        """Run a program in the image's environment and return its standard output.

        Raises CommandFailedError, with the end of its errors, when it fails or lasts longer than the deadline.
        """
        script = self.script(argv, environment or {})
        return capture([*NAMESPACES, "bash", "-euc", script], deadline_seconds=deadline_seconds)

    def start(self, arguments: Sequence[str] = ()) -> list[str]:
        """What a container of the image runs: its entrypoint with these arguments, or with the image's own."""
        return [*self.image.entrypoint, *(arguments or self.image.settings.get("Cmd") or [])]

    def script(self, argv: Sequence[str], environment: Mapping[str, str]) -> str:
        """The shell script that lays out the sandbox, then becomes the program."""
        root = shlex.quote(str(self.root))
        lines = [
            f"mount --bind {root} {root}",
            f"mount -o remount,bind,ro {root}",
            f"mount -t tmpfs -o mode=1777 tmpfs {root}/tmp",  # noqa: S108 - the sandbox's own
            f"mount -t proc proc {root}/proc",
            f"mount --rbind /dev {root}/dev",
            *(f"mount --bind {shlex.quote(str(host))} {self._place(inside)}" for host, inside in self.volumes.items()),
            "ip link set lo up",
            f"exec chroot {root} {shlex.join(self._restricted(argv, environment))}",
        ]
        return "\n".join(lines)

    def _place(self, inside: str) -> str:
        """Where a volume is mounted, seen from outside. Raises ToolError when a link leads out of the image."""
        place = (self.root / inside.lstrip("/")).resolve()
        if not place.is_relative_to(self.root.resolve()):
            raise ToolError(f"{inside} is a link in the image that leads out of it from here: name what it points to")
        return shlex.quote(str(place))

    def _restricted(self, argv: Sequence[str], environment: Mapping[str, str]) -> list[str]:
        user, _, group = self.image.user.partition(":")
        identity = [f"--reuid={user}", f"--regid={group or user}", "--clear-groups"]
        privileges = ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        variables = {**self.image.environment, **environment}
        assignments = [f"{name}={value}" for name, value in variables.items()]
        folder = str(self.image.settings.get("WorkingDir") or "/")
        environ = ["/usr/bin/env", "--ignore-environment", f"--chdir={folder}", *assignments]
        return ["/usr/bin/setpriv", *identity, *privileges, *environ, *argv]
