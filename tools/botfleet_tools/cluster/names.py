"""What a cluster's name becomes: names that the kernel accepts and that no other cluster has.

Pure; every other module asks here instead of making up a name.
"""

import hashlib
import re
from dataclasses import dataclass

from botfleet_tools.errors import ToolError

DEFAULT_NAME = "botfleet"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


class ClusterError(ToolError):
    """A cluster cannot be made, reached or removed."""


@dataclass(frozen=True)
class Names:
    """Everything that is named after one cluster."""

    cluster: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.cluster):
            raise ClusterError(
                f"{self.cluster!r} is no name for a cluster: lower case letters, digits and '-', 32 characters at most"
            )

    @property
    def node(self) -> str:
        """The node's name and its host name."""
        return f"{self.cluster}-node"

    @property
    def interface(self) -> str:
        """The host's end of the link to the cluster; the kernel allows 15 characters."""
        return "bf-" + hashlib.sha256(self.cluster.encode()).hexdigest()[:10]

    @property
    def cgroup(self) -> str:
        """The control group that holds the cluster's pods."""
        return f"botfleet-{self.cluster}"

    @property
    def lock(self) -> str:
        """The lock that whoever changes this cluster holds."""
        return f"cluster-{self.cluster}"
