"""A Telegram server and an OpenAI-compatible server for tests: real protocols, faults on demand.

It stands alone: it must never import anything of the products that it tests.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("botfleet-simulator")
except PackageNotFoundError:  # run from a source tree that was not installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
