"""Real servers for integration tests and for trying things out: PostgreSQL, Redis, and the Kubernetes API alone.

Each is a context manager on free loopback ports with its data in a temporary folder; none outlives its owner for long.
"""

from botfleet_tools.servers.apiserver import ApiServer
from botfleet_tools.servers.base import ServerError
from botfleet_tools.servers.postgres import Postgres
from botfleet_tools.servers.redis import Redis

__all__ = ["ApiServer", "Postgres", "Redis", "ServerError"]
