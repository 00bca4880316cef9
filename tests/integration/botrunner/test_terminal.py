"""Promises of the owner's commands at a terminal: a session is made and never shown, and a chat needs no Telegram."""

import asyncio
import codecs
import os
import pty
import re
import stat
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from botrunner.terminal.drawing import MARGIN, modules
from tests.integration.botrunner.conftest import World
from tests.support.runner import ROOT, adapted
from tests.waiting import DEADLINE, until

CODE = "the code that was sent"
PASSWORD = "planted two-step password"
EXAMPLES = ROOT / "examples"
pytestmark = pytest.mark.timeout(300)  # real processes on a machine with other work to do


class Terminal:
    """A command at a pseudo terminal: what a person sees and types."""

    def __init__(self, process: asyncio.subprocess.Process, controller: int) -> None:
        self.process, self._controller = process, controller
        self._came, self._decoder = "", codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def seen(self) -> str:
        return self._came.replace("\r\n", "\n")

    def read(self) -> bool:
        """A piece of what came, which may end within a letter. False: nothing more comes now."""
        try:
            piece = os.read(self._controller, 65536)
        except BlockingIOError:
            return False
        except OSError:  # the other side is closed
            asyncio.get_running_loop().remove_reader(self._controller)
            return False
        self._came += self._decoder.decode(piece)
        return bool(piece)

    def type(self, text: str) -> None:
        os.write(self._controller, text.encode())

    async def wait(self, words: str) -> None:
        """Until these words are seen after those that were waited for last."""
        try:
            await until(lambda: words in self.seen[self._from :])
        except TimeoutError:
            raise AssertionError(f"{words!r} is not in what was seen:\n{self.seen}") from None
        self._from = self.seen.index(words, self._from) + len(words)

    _from = 0

    async def ends(self, code: int) -> None:
        assert await asyncio.wait_for(self.process.wait(), DEADLINE) == code, self.seen
        while self.read():
            pass


@asynccontextmanager
async def terminal(world: World, *arguments: str) -> AsyncIterator[Terminal]:
    controller, terminal_side = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "botrunner.start", *arguments),
        stdin=terminal_side, stdout=terminal_side, stderr=terminal_side,
        env=environment(world), start_new_session=True, cwd=world.folder, preexec_fn=_take_terminal,
    )  # fmt: skip
    os.close(terminal_side)
    os.set_blocking(controller, False)
    seen = Terminal(process, controller)
    asyncio.get_running_loop().add_reader(controller, seen.read)
    try:
        yield seen
    finally:
        asyncio.get_running_loop().remove_reader(controller)
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(controller)


def _take_terminal() -> None:
    """Ctrl-C goes to whom the terminal belongs to, and counts: a test run in the background may have it ignored."""
    import fcntl
    import signal
    import termios

    signal.signal(signal.SIGINT, signal.SIG_DFL)

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def environment(world: World) -> dict[str, str]:
    return world.runner(Path("unused")).environment | {"NO_COLOR": "1", "COLUMNS": "200"}


async def piped(world: World, *arguments: str, lines: Sequence[str] = ()) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "botrunner.start", *arguments),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=environment(world), cwd=world.folder,
    )  # fmt: skip
    assert process.stdin is not None
    for line in lines:
        said = await world.telegram.admin.code(lines[0]) if line == CODE else line
        process.stdin.write(f"{said}\n".encode())
    process.stdin.close()  # `communicate` closes only what it writes itself
    out, err = await asyncio.wait_for(process.communicate(), DEADLINE)
    return process.returncode, out.decode(), err.decode()


def login(world: World, *more: str) -> tuple[str, ...]:
    return ("login", "-f", str(EXAMPLES / "person.yaml"), "--secrets", str(world.folder / "secrets"), *more)


async def test_a_person_logs_in_with_code_and_password_and_the_bot_answers_with_that_session(world: World) -> None:
    admin, phone = world.telegram.admin, "+9998800001"
    await admin.create_person(phone, name="Aigul", username="aigul", password=PASSWORD)
    async with terminal(world, *login(world, "-o", "session.yaml")) as seen:
        await seen.wait("Phone number")
        seen.type(f"{phone}\n")
        await seen.wait("Code:")
        seen.type("00\n")
        await seen.wait("The code is wrong. Once more.")
        await seen.wait("Code:")
        code = await admin.code(phone)
        seen.type(f"{code}\n")
        await seen.wait("Password of two-step verification")
        seen.type("wrong\n")
        await seen.wait("The password is wrong. Once more.")
        await seen.wait("Password of two-step verification")
        seen.type(f"{PASSWORD}\n")
        await seen.ends(0)
    target = world.folder / "session.yaml"
    secret = yaml.safe_load(target.read_text())
    session = secret["stringData"]["session"]
    assert secret["metadata"] == {
        "name": "assistant-session", "namespace": "office", "labels": {"botfleet.dev/credentials": "true"},
    }  # fmt: skip
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [word for word in (session, PASSWORD, "wrong\n") if word in seen.seen.replace("is wrong", "")] == []
    assert "Logged in as @aigul" in seen.seen
    assert "kubectl apply -f session.yaml" in seen.seen

    # The files that it names run the bot, and check finds nothing wrong with them.
    manifest = adapted(
        EXAMPLES / "person.yaml", world.folder / "bot.yaml", model={"baseUrl": world.model.base_url},
        conversation={"debounceSeconds": 0},
    )  # fmt: skip
    files = ("-f", str(manifest), "-f", str(target), "--secrets", str(world.folder / "secrets"))
    code_of_check, out, _ = await piped(world, "check", *files)
    assert code_of_check == 0, out
    async with terminal(world, "run", *files, "--data", str(world.folder / "data")) as bot:
        # What is written before a bot's first sight of its account is not promised an answer.
        await admin.wait_connections("aigul", receiving=True)
        async with world.telegram.person(phone=await world.person()) as person:
            await person.say("aigul", "message 31")
            assert "31" in (await person.wait_reply("aigul")).text
        bot.type("\x03")
        await bot.ends(0)


async def test_a_login_works_over_a_pipe_and_each_one_makes_a_session_of_its_own(world: World) -> None:
    phone = "+9998800002"
    await world.telegram.admin.create_person(phone, name="Bakyt", password=PASSWORD)
    made = set()
    for name in ("one.yaml", "two.yaml"):
        code, out, err = await piped(world, *login(world, "-o", name), lines=[phone, CODE, PASSWORD])
        assert code == 0, err
        session = yaml.safe_load((world.folder / name).read_text())["stringData"]["session"]
        assert session not in out + err
        made.add(session)
    assert len(made) == 2


async def test_an_existing_file_is_left_as_it_is_before_anybody_is_asked(world: World) -> None:
    target = world.folder / "assistant-session.yaml"
    target.write_text("mine")
    code, out, err = await piped(world, *login(world), lines=["+9998800003"])
    assert (code, out) == (2, "")
    assert "exists and is left as it is" in err
    assert "--force" in err
    assert "Phone" not in err
    assert target.read_text() == "mine"
    assert await world.telegram.admin.call_count("auth.sendCode") == 0

    await world.telegram.admin.create_person("+9998800003", name="C")
    code, _, err = await piped(world, *login(world, "--force"), lines=["+9998800003", CODE])
    assert code == 0, err
    assert "stringData" in target.read_text()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


async def test_a_session_that_cannot_be_written_is_ended_again(world: World) -> None:
    admin, phone = world.telegram.admin, "+9998800004"
    await admin.create_person(phone, name="D")
    folder = world.folder / "gone"
    folder.mkdir()
    async with terminal(world, *login(world, "-o", "gone/session.yaml")) as seen:
        await seen.wait("Phone number")
        seen.type(f"{phone}\n")
        await seen.wait("Code:")
        folder.rmdir()
        seen.type(f"{await world.telegram.admin.code(phone)}\n")
        await seen.wait("cannot be written")
        await seen.ends(2)
    assert await admin.call_count("auth.logOut") == 1


async def test_a_third_wrong_code_ends_the_login_and_nothing_is_written(world: World) -> None:
    await world.telegram.admin.create_person("+9998800005", name="E")
    code, _, err = await piped(world, *login(world), lines=["+9998800005", "1", "2", "3", "4"])
    assert code == 2
    assert err.count("The code is wrong. Once more.") == 2
    assert err.rstrip().endswith("botrunner: The code is wrong.")
    assert await world.telegram.admin.call_count("auth.signIn") == 3
    assert not list(world.folder.glob("*session*"))


async def test_a_flood_wait_is_told_with_its_time(world: World) -> None:
    await world.telegram.admin.add_fault("error", method="auth.sendCode", message="FLOOD_WAIT_4000")
    code, _, err = await piped(world, *login(world), lines=["+9998800006"])
    assert code == 2
    assert re.search(r"asks to wait .*: 1 h 7 min, until \d{4}-\d\d-\d\d \d\d:\d\d", err)


async def test_a_bot_account_is_told_that_it_needs_no_login(world: World) -> None:
    code, _, err = await piped(world, "login", "-f", str(EXAMPLES / "concierge.yaml"))
    assert code == 2
    assert "needs no login, its token is enough" in err


async def test_control_c_ends_a_login_and_gives_the_terminal_back(world: World) -> None:
    phone = "+9998800007"
    await world.telegram.admin.create_person(phone, name="G", password=PASSWORD)
    async with terminal(world, *login(world)) as seen:
        await seen.wait("Phone number")
        seen.type(f"{phone}\n")
        await seen.wait("Code:")
        seen.type(f"{await world.telegram.admin.code(phone)}\n")
        await seen.wait("Password of two-step verification")
        seen.type("\x03")
        await seen.wait("nothing was written")
        await seen.ends(2)
    assert not list(world.folder.glob("*session*"))


def codes(screen: str) -> list[list[list[bool]]]:
    """The QR codes that a terminal was given, row by row, as a camera sees them: without the margin; True: dark."""
    lines = re.findall(r"\x1b\[38;5;16;48;5;231m(.*?)\x1b\[0m|(\x1b\[J)", screen)
    found: list[list[list[bool]]] = [[]]
    for line, erased in lines:
        if erased:
            found.append([])
        else:
            found[-1] += [[letter in "▀█" for letter in line], [letter in "▄█" for letter in line]]
    sides = [(rows, min(n for n, dark in enumerate(rows[MARGIN]) if dark)) for rows in found if rows]
    return [
        [row[left : len(row) - left] for row in rows[left : left + len(rows[0]) - 2 * left]] for rows, left in sides
    ]


async def test_a_code_that_a_phone_scans_logs_in_over_a_move_to_another_data_center_with_the_password(
    world: World,
) -> None:
    admin, phone = world.telegram.admin, "+9998800008"
    await admin.update_settings(login_token_migrates=True, login_token_seconds=600)  # the one that is seen stays good
    await admin.create_person(phone, name="Hanna", username="hanna", password=PASSWORD)
    async with terminal(world, *login(world, "--qr", "-o", "session.yaml")) as seen:
        link = await admin.login_link()
        await seen.wait("scan this")
        await until(lambda: "\x1b[0m" in seen.seen)
        await admin.scan("hanna", link)
        await seen.wait("\x1b[J")  # what was scanned is taken away
        await seen.wait("Password of two-step verification")
        seen.type(f"{PASSWORD}\n")
        await seen.ends(0)
    assert codes(seen.seen) == [modules(link)]
    session = yaml.safe_load((world.folder / "session.yaml").read_text())["stringData"]["session"]
    assert stat.S_IMODE((world.folder / "session.yaml").stat().st_mode) == 0o600
    assert [word for word in (session, PASSWORD) if word in seen.seen] == []
    assert "Logged in as @hanna" in seen.seen
    assert [one.state for one in await admin.sessions("hanna")] == ["authorized"]


async def test_control_c_after_the_scan_leaves_no_session_behind(world: World) -> None:
    admin = world.telegram.admin
    await admin.update_settings(login_token_seconds=600)
    await admin.create_person("+9998800009", name="I", username="irina")
    await admin.add_fault("hold", method="auth.exportLoginToken", skip=1)
    async with terminal(world, *login(world, "--qr")) as seen:
        await admin.scan("irina", await admin.login_link())
        await admin.wait_for_call("auth.exportLoginToken", outcome="held")
        assert [one.state for one in await admin.sessions("irina")] == ["authorized"]
        seen.type("\x03")
        await seen.wait("nothing was written")
        await seen.ends(2)
    assert await admin.sessions("irina") == []
    assert not list(world.folder.glob("*session*"))


async def test_without_a_terminal_no_code_is_drawn(world: World) -> None:
    code, out, err = await piped(world, *login(world, "--qr"))
    assert (code, out) == (2, "")
    assert "run it at a terminal, or log in without --qr" in err


async def test_a_chat_over_a_pipe_is_the_personas_and_asks_nobody_but_the_model(world: World) -> None:
    files = ("-f", str(EXAMPLES / "concierge.yaml"), "--secrets", str(world.folder / "secrets"))
    before = await world.telegram.admin.last_call()
    code, out, err = await piped(world, "chat", *files, lines=["a room for 2", "and for 7", "/quit", "not said"])
    assert (code, err) == (0, "")
    assert out.startswith("concierge: I am an AI assistant, not a person.")
    assert "Noted: 2." in out
    assert "Noted: 7." in out
    assert "not said" not in out
    assert await world.telegram.admin.last_call() == before


async def test_a_chat_tells_what_to_do_when_the_model_refuses(world: World) -> None:
    world.secret("openai/api-key", "sk-wrong")
    files = ("-f", str(EXAMPLES / "concierge.yaml"), "--secrets", str(world.folder / "secrets"))
    code, out, _ = await piped(world, "chat", *files, lines=["hello"])
    assert code == 1
    assert "! The endpoint refuses the key. Put the right one into Secret openai, key api-key" in out


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["control-c", "control-d"])
async def test_a_chat_at_a_terminal_ends_with_control_c_and_control_d(world: World, key: str) -> None:
    async with terminal(
        world, "chat", "-f", str(EXAMPLES / "concierge.yaml"), "--secrets", str(world.folder / "secrets")
    ) as seen:
        await seen.wait("Nothing of this is kept.")
        await seen.wait("you: ")
        seen.type("hello\n")
        await seen.wait("How can I help you?")
        await seen.wait("you: ")
        seen.type(key)
        await seen.ends(0)
    assert "Traceback" not in seen.seen
