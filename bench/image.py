"""Why: a bot's process is to weigh here what it weighs in its image, which has neither the simulator's libraries nor the tools'.

Telethon and structlog import what they find; what the image does not have is hidden from the processes that are measured.
"""

import os
from pathlib import Path

HIDDEN = ("aiohttp", "attr", "attrs")


def as_in_image(folder: Path) -> dict[str, str]:
    """The environment of such a process; `folder` is for the modules that hide others."""
    hiding = folder / "not-in-the-image"
    hiding.mkdir(exist_ok=True)
    for name in HIDDEN:
        (hiding / f"{name}.py").write_text('raise ImportError("the image of the runner does not have this")\n')
    return {**os.environ, "PYTHONPATH": str(hiding)}
