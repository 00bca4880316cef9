"""Downloads a program's official release and checks its sha256.

The checksum is the pinned one where the table has it. Where it has none, the file published beside the release counts:
that catches a broken download, not a release server that was taken over. A program whose checksum differs is never used.
"""

import hashlib
import io
import platform
import re
import socket
import tarfile
import time
import urllib.error
import urllib.request
from http.client import HTTPException

from botfleet_tools.binaries.pins import Pin
from botfleet_tools.errors import ToolError

ANSWER_SECONDS = 5.0
DEADLINE_SECONDS = 300.0
CHUNK = 1 << 20
MAXIMUM_BYTES = 512 << 20
_SHA256 = re.compile(r"\b[0-9a-f]{64}\b")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class UnreachableError(ToolError):
    """The release server gave no answer; the next source is tried."""


class ChecksumError(ToolError):
    """What was downloaded is not what was published. Never ignored, no other source is tried."""


def architecture() -> str:
    """This machine's architecture as Go names it. Raises ToolError for one that no release exists for."""
    machine = platform.machine()
    try:
        return _ARCHITECTURES[machine]
    except KeyError:
        raise ToolError(f"no programs are known for the architecture {machine}") from None


def download(pin: Pin) -> bytes:
    """The program's content, checked.

    Raises UnreachableError when its server does not answer within 5 s or has no such file, ChecksumError when it is not
    what was published.
    """
    arch = architecture()
    url = pin.url.format(version=pin.version, arch=arch)
    expected = pin.sha256.get(arch) or published_checksum(
        _fetch(url + pin.checksum_suffix).decode(errors="replace"), url
    )
    content = _fetch(url)
    verify(content, expected, url)
    return content if pin.member is None else member_of(content, pin.member.format(arch=arch))


def reachable(server: str) -> bool:
    """Whether something answers for this server's https port within 5 s."""
    try:
        with socket.create_connection((server, 443), timeout=ANSWER_SECONDS):
            return True
    except OSError:
        return False


def published_checksum(text: str, url: str) -> str:
    """The sha256 in a checksum file (alone or as ``sum  name``)."""
    match = _SHA256.search(text.lower())
    if match is None:
        raise ChecksumError(f"the checksum file beside {url} holds no sha256")
    return match.group()


def verify(content: bytes, expected: str, url: str) -> None:
    """Raise ChecksumError unless the content has this sha256."""
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ChecksumError(f"{url}: sha256 is {found}, published is {expected}; nothing was installed")


def member_of(archive: bytes, name: str) -> bytes:
    """One file of a .tar.gz. Raises ToolError when it is not in there."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            if member.name.removeprefix("./") == name and member.isfile():
                file = tar.extractfile(member)
                if file is not None:
                    return file.read()
    raise ToolError(f"the release archive holds no file {name}")


def _fetch(url: str) -> bytes:
    end = time.monotonic() + DEADLINE_SECONDS
    content = bytearray()
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as response:  # noqa: S310 - the table's https addresses
            while chunk := response.read(CHUNK):
                content += chunk
                if time.monotonic() > end or len(content) > MAXIMUM_BYTES:
                    raise UnreachableError(f"{url} is too slow or too large")
    except (urllib.error.URLError, HTTPException, OSError) as error:
        raise UnreachableError(f"{url}: {error}") from error
    return bytes(content)
