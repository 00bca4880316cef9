"""From where the base image comes: the archive that apt uses, never one with a password in its address."""

from pathlib import Path

import pytest

from botfleet_tools.images.mirror import DEFAULT_MIRROR, find_mirror

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main
"""


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def test_a_deb822_file_is_read(apt: Path) -> None:
    (apt / "sources.list.d/debian.sources").write_text(DEB822)
    assert find_mirror("bookworm", apt) == "http://mirror.example/debian"


def test_a_one_line_file_is_read_and_goes_first(apt: Path) -> None:
    (apt / "sources.list.d/debian.sources").write_text(DEB822)
    (apt / "sources.list").write_text(
        "# deb http://old.example/debian bookworm main\n"
        "deb http://updates.example/debian bookworm-updates main\n"
        "deb-src http://source.example/debian bookworm main\n"
        "deb [arch=amd64 trusted=no] https://one.example/debian bookworm main contrib # mine\n"
    )
    assert find_mirror("bookworm", apt) == "https://one.example/debian"


@pytest.mark.parametrize(
    "line",
    [
        "deb http://me:secret@private.example/debian bookworm main",
        "deb http://other.example/debian trixie main",
        "deb http://other.example/debian bookworm contrib",
        "deb cdrom:[Debian]/ bookworm main",
    ],
)
def test_an_archive_that_does_not_fit_is_passed_over(apt: Path, line: str) -> None:
    (apt / "sources.list").write_text(line + "\n")
    assert find_mirror("bookworm", apt) == DEFAULT_MIRROR


def test_a_disabled_stanza_and_other_files_are_passed_over(apt: Path) -> None:
    (apt / "sources.list.d/debian.sources").write_text(DEB822.replace("Types: deb deb-src", "Enabled: no\nTypes: deb"))
    (apt / "sources.list.d/debian.sources.bak").write_text(DEB822)
    assert find_mirror("bookworm", apt) == DEFAULT_MIRROR


def test_a_machine_without_apt_has_debians_own_mirror(tmp_path: Path) -> None:
    assert find_mirror("bookworm", tmp_path / "none") == DEFAULT_MIRROR
