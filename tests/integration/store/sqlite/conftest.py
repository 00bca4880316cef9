"""The same promises on the file of a bot that runs alone."""

from tests.unit.store.conftest import *  # noqa: F403
