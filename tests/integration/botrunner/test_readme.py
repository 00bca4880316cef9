"""The README's way to a bot that runs alone, its commands as they stand."""

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest

from tests.integration.botrunner.conftest import World
from tests.pages import block, checkout
from tests.support.runner import READY, ROOT
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.timeout(300)  # real processes on a machine with other work to do
SECTION = "A real bot, alone"
README = ROOT / "README.md"
DATA = re.compile(r"Its data are in `~/(\S+)`")


async def test_the_readmes_commands_run_a_bot_alone_until_control_c(world: World, tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "checkout"
    home.mkdir()
    folder.mkdir()
    checkout(folder)
    environment = world.runner(Path("unused")).environment | {"HOME": str(home)}
    environment.pop("XDG_DATA_HOME", None)
    log = tmp_path / "terminal.log"

    async def types(commands: str) -> asyncio.subprocess.Process:
        with log.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *("bash", "-euo", "pipefail", "-c", commands),
                cwd=folder, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    # An editor is needed for each file; what is typed into it comes from the simulator.
    first = block("README.md", SECTION, "console", "nano")
    edited = re.findall(r"^nano ~/(\S+)$", first, re.M)
    assert await (await types(re.sub(r"^nano .*\n", "", first, flags=re.M))).wait() == 0, log.read_text()
    for path in edited:
        (home / path).write_text((world.folder / path).read_text() + "\n")
    simulated = home / "secrets/telegram-server"
    simulated.mkdir()
    (simulated / "public.pem").write_text(world.telegram.public_key)
    assert (home / "secrets/openai").stat().st_mode & 0o077 == 0, "only their owner can read them"

    looked = await types(block("README.md", SECTION, "console", "botrunner check").replace("make venv\n", ""))
    assert await looked.wait() == 0, log.read_text()
    assert "hotel/concierge will be" in log.read_text()

    bot = await types(block("README.md", SECTION, "console", "botrunner run"))
    await until(lambda: READY.search(log.read_text()) or bot.returncode is not None)
    # What is written before a bot's first sight of its account is not promised an answer.
    await world.telegram.admin.wait_connections(world.username, receiving=True)
    async with world.telegram.person(phone=await world.person()) as person:
        await person.say(world.username, "message 71")
        assert "71" in (await person.wait_reply(world.username)).text
    os.killpg(bot.pid, signal.SIGINT)
    await asyncio.wait_for(bot.wait(), DEADLINE)
    text = log.read_text()
    assert "stopped" in text.splitlines()[-1]
    assert "Traceback" not in text
    (told,) = DATA.findall(README.read_text())
    assert (home / told / "botfleet.sqlite3").exists()
