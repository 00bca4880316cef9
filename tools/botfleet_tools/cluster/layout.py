"""Where things are inside a cluster: its run directory, seen from its own mount namespace.

All clusters look the same from inside, and the paths are short (a unix socket's path has 107 characters at most).
"""

from pathlib import PurePosixPath

from botfleet_tools.cluster.init import INSIDE

ROOT = PurePosixPath(INSIDE)
PKI = ROOT / "pki"
BIN = ROOT / "bin"
TEMPORARY = ROOT / "tmp"
CONTAINERD_SOCKET = PurePosixPath("/run/containerd/containerd.sock")
CNI_PLUGINS = PurePosixPath("/usr/lib/cni")
API_PORT = 6443
AUDIT_LOG = "log/audit.log"
PAUSE_IMAGE = "localhost/botfleet-pause:1"
STORAGE_CLASS = "standard"
DOMAIN = "cluster.local"
