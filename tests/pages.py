"""The commands and files that a page of the documentation shows, to be run as they stand."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^```(\w+)(?: [a-z]+)?\n(.*?)^```$", re.M | re.S)


def blocks(page: str, section: str, language: str) -> list[str]:
    """The code blocks of a page's section, in their order."""
    text = (ROOT / page).read_text()
    part = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return [body for found, body in _BLOCK.findall(part) if found == language]


def block(page: str, section: str, language: str, having: str) -> str:
    """The one block that holds these words."""
    found = [body for body in blocks(page, section, language) if having in body]
    assert len(found) == 1, f"{page}, {section}: {len(found)} blocks of {language} hold {having!r}"
    return found[0]


def checkout(folder: Path) -> Path:
    """A folder that looks like a fresh clone: what git knows, and the environment; nothing that a developer made beside it."""
    listed = ["git", "ls-tree", "--name-only", "HEAD"]
    known = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in (*known, ".venv"):
        (folder / name).symlink_to(ROOT / name)
    return folder
