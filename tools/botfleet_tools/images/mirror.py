"""Finds the Debian mirror that this machine's apt uses, so that the base image comes from where its packages come from.

The address is handed to debootstrap at run time; it is never written into a file of the project or left in an image.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_MIRROR = "http://deb.debian.org/debian"
SCHEMES = ("http", "https", "file")
_ONE_LINE = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$")


def find_mirror(suite: str, folder: Path = Path("/etc/apt")) -> str:
    """The first archive of ``suite`` with component main among apt's sources; Debian's own name when there is none."""
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    for file in files:
        if file.is_file() and file.suffix in {".list", ".sources"}:
            text = file.read_text(errors="replace")
            entries = one_line_sources(text) if file.suffix == ".list" else deb822_sources(text)
            for uri in fitting(entries, suite):
                return uri
    return DEFAULT_MIRROR


Source = tuple[str, frozenset[str], frozenset[str]]  # address, suites, components


def fitting(sources: Iterable[Source], suite: str) -> Iterator[str]:
    """Addresses that have ``suite`` itself. One with a password in it is left out: it would show in a process list."""
    for uri, suites, components in sources:
        parts = urlsplit(uri)
        if suite in suites and "main" in components and parts.scheme in SCHEMES and parts.username is None:
            yield uri.rstrip("/")


def one_line_sources(text: str) -> Iterator[Source]:
    """The ``deb`` lines of a sources.list (sources.list(5))."""
    for line in text.splitlines():
        match = _ONE_LINE.match(line.partition("#")[0].strip())
        if match:
            yield match["uri"], frozenset({match["suite"]}), frozenset(match["components"].split())


def deb822_sources(text: str) -> Iterator[Source]:
    """The enabled ``deb`` stanzas of a .sources file (deb822 style, sources.list(5))."""
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", kept):
        fields = _fields(stanza)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in {"no", "false"}:
            continue
        for uri in fields.get("uris", "").split():
            yield uri, frozenset(fields.get("suites", "").split()), frozenset(fields.get("components", "").split())


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line[:1].isspace():
            fields[name] = f"{fields.get(name, '')} {line.strip()}"
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields
