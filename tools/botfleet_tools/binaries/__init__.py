"""Finds or makes the programs that the tools run, each at a pinned version.

It never installs anything into the system: what is made is kept in the cache folder.
"""

from botfleet_tools.binaries.pins import NODE_PROGRAMS, PINS, Program
from botfleet_tools.binaries.resolve import pause, preflight, resolve, resolve_all

__all__ = ["NODE_PROGRAMS", "PINS", "Program", "pause", "preflight", "resolve", "resolve_all"]
