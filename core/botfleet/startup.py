"""Why: a container's first process is not ended by a SIGTERM for which it has no handler, and a program that still loads has none.

Its pod would hang until the grace period is over. So a program's first act, before it loads anything else, is to have one.
"""

import os
import signal
from types import FrameType
from typing import NoReturn


def end_on_sigterm() -> None:
    """From now on SIGTERM ends the process at once, with 143; until the program, once it has loaded, takes the signal over."""
    signal.signal(signal.SIGTERM, _end)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    # Nothing is held yet that a kill would lose; an exception could be caught by what is being loaded.
    os._exit(128 + number)
