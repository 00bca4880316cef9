"""
Why: what a bot's children look like, one pure module a kind, each with golden files.
Never: read a clock, a setting or the cluster; leave out what the API server would default.
"""

from botfleet_operator.builders.common import Blueprint, Platform, applied_hash, stamped

__all__ = ["Blueprint", "Platform", "applied_hash", "stamped"]
