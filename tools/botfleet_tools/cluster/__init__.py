"""The development cluster: Kubernetes on this machine, by kind where Docker runs, else by processes in namespaces.

It never touches the host's firewall, and leaves nothing behind once it is down.
"""

from botfleet_tools.cluster.cluster import Cluster
from botfleet_tools.cluster.names import DEFAULT_NAME, ClusterError

__all__ = ["DEFAULT_NAME", "Cluster", "ClusterError"]
