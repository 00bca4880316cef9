"""A bot that runs alone on a disk that is full: nothing it has said it knows is lost, and it goes on by itself when there is room."""

import asyncio
import contextlib
import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.botrunner.conftest import World
from tests.support.runner import ROOT

pytestmark = pytest.mark.timeout(300)  # a real process on a machine with other work to do
MIB = 1024 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own, for the folder with the data."""
    folder = tmp_path / "data"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "botfleet-test", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Not a byte is left."""
    path = folder / "somebody-elses"
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    with pytest.raises(OSError, match="No space left") as full, (folder / "one-more").open("wb", buffering=0) as file:
        file.write(bytes(4096))
    assert full.value.errno == errno.ENOSPC
    return path


async def test_on_a_full_disk_nothing_is_lost_or_doubled_and_room_is_all_that_it_needs(
    world: World, disk: Path
) -> None:
    runner = world.runner(ROOT / "examples/concierge.yaml", conversation={"debounceSeconds": 0})
    await runner.start()
    await runner.wait_probe("/readyz", 200)
    pid, phones = runner.pid, [await world.person() for _ in range(3)]
    for phone in phones:
        await world.telegram.admin.send_message(phone, world.username, "message 101")
        await world.telegram.admin.wait_messages(phone, world.username, incoming=True, contains="101")
    filled = fill(disk)
    # Long ones: what fits into the log that SQLite has already would need no room.
    for number in range(102, 110):
        for phone in phones:
            await world.telegram.admin.send_message(phone, world.username, f"message {number} " + "x" * 3000)
    await runner.wait_probe("/readyz", 503)
    await runner.wait_probe("/livez", 200)
    assert "database or disk is full" in runner.log.read_text() or "StoreUnavailable" in runner.log.read_text()
    await asyncio.to_thread(filled.unlink)
    await runner.wait_probe("/readyz", 200)
    for phone in phones:
        await world.named_once(phone, list(range(101, 110)))
    assert runner.pid == pid
    assert runner.process is not None
    assert runner.process.returncode is None
    assert await runner.stop() == 0
