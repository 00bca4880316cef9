"""Whole reconciles of many bots, or of one through many deaths: an operator without its process, a real store, the API server played."""

from tests.unit.operator.conftest import prepared, rig

__all__ = ["prepared", "rig"]
