"""Why: a process is to weigh here what it weighs in its image, which has neither the other programs' libraries nor the tools'.

Telethon, structlog and kopf import what they find; what the image does not have is hidden from the processes that are measured.
"""

import os
from pathlib import Path

HIDDEN = {"runner": ("aiohttp", "attr", "attrs"), "operator": ("kubernetes", "rich")}
"""By image: what some library of it would import."""


def as_in_image(folder: Path, image: str = "runner") -> dict[str, str]:
    """The environment of such a process; `folder` is for the modules that hide others."""
    hiding = folder / f"not-in-the-image-of-the-{image}"
    hiding.mkdir(exist_ok=True)
    for name in HIDDEN[image]:
        (hiding / f"{name}.py").write_text(f'raise ImportError("the image of the {image} does not have this")\n')
    return {**os.environ, "PYTHONPATH": str(hiding)}
