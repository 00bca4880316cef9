"""Promises of questions at a terminal: what is hidden is neither shown nor lost, however quickly it is typed."""

import asyncio
import os
import pty

import pytest

from botrunner.terminal.lines import Lines
from tests.waiting import DEADLINE


async def test_a_password_that_is_pasted_as_the_question_appears_is_taken_and_not_shown() -> None:
    controller, terminal = pty.openpty()
    asked: list[str] = []

    def show(words: str) -> None:
        if not asked:
            os.write(controller, b"planted\n")
        asked.append(words)

    try:
        async with asyncio.timeout(DEADLINE):
            assert await Lines(show, terminal).ask("Password: ", hidden=True) == "planted"
        os.set_blocking(controller, False)
        with pytest.raises(BlockingIOError):  # the terminal has shown nothing
            os.read(controller, 100)
    finally:
        os.close(controller)
        os.close(terminal)
    assert asked == ["Password: ", "\n"]
