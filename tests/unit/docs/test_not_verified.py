"""What nobody has run is marked "not verified" where it stands, and not on another page."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NEVER_RUN = {
    "images that are published nowhere yet": r"ghcr\.io",
    "public images of the bundled servers": r"docker\.io/library|use public images",
    "Argo CD": r"Argo CD",
    "a node made by kind": r"takes `kind`|\| `kind` \||with kind|\*\*kind\*\*",
    "images built by Docker": r"[Uu]ses Docker|Docker is used|`docker load` takes",
    "a rollback by Helm": r"`helm rollback`",
    "a dump that is restored": r"pg_dump",
    "a pooler before an external PostgreSQL": r"pooler",
    "TLS to an external Redis": r"tls: true",
    "a file in another data center": r"another of Telegram's data centers",
}


def sections(page: Path) -> list[str]:
    """The parts between headings (of any depth), outside of code."""
    parts: list[list[str]] = [[]]
    in_code = False
    for line in page.read_text().splitlines():
        in_code ^= line.lstrip().startswith("```")
        if line.startswith("#") and not in_code:
            parts.append([])
        parts[-1].append(line)
    return ["\n".join(part) for part in parts]


def unmarked(text: str, topic: str) -> bool:
    return bool(re.search(NEVER_RUN[topic], text)) and not re.search(r"\bnot verified\b", text, re.IGNORECASE)


@pytest.mark.parametrize("topic", NEVER_RUN)
def test_what_was_never_run_is_marked_in_its_section(topic: str) -> None:
    all_sections = [(page, part) for page in PAGES for part in sections(page)]
    told = [part for _, part in all_sections if re.search(NEVER_RUN[topic], part)]
    assert told, "no page tells of it any more: take it out here"
    for page, part in all_sections:
        assert not unmarked(part, topic), f"{page.relative_to(ROOT)}: {part.splitlines()[0]}"


def test_the_way_to_a_real_bot_says_that_telegram_itself_was_never_met() -> None:
    (alone,) = [part for part in sections(ROOT / "README.md") if part.startswith("## A real bot, alone")]
    assert "**Not verified** with Telegram itself" in alone


def test_the_default_images_are_marked_in_the_charts_values() -> None:
    lines = (ROOT / "charts/botfleet/values.yaml").read_text().splitlines()
    places = [number for number, line in enumerate(lines) if "ghcr.io" in line]
    assert len(places) == 2
    assert all("no release has published it yet" in lines[number - 1] for number in places)
