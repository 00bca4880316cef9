"""Why: a person takes minutes to type a code, and the connection to Telegram must go on living meanwhile: lines are awaited.

(`input()` in a thread would not do: a thread that waits for a line cannot be ended by Ctrl-C.)
"""

import asyncio
import contextlib
import os
import termios
from collections.abc import Callable, Iterator


class NoMoreLinesError(EOFError):
    """Standard input has ended where an answer was wanted."""


class Lines:
    """Questions at the terminal, or to whatever standard input is."""

    def __init__(self, show: Callable[[str], None], descriptor: int = 0) -> None:
        """`show` writes a question, without a line end of its own."""
        self._show, self._descriptor = show, descriptor
        self._read = b""

    async def ask(self, question: str, *, hidden: bool = False) -> str:
        """The line that is typed. `hidden`: the terminal does not show it, from before the question is seen.

        Raises:
            NoMoreLinesError: nobody answers any more.
        """
        with _unseen(self._descriptor) if hidden else contextlib.nullcontext(False) as unseen:
            self._show(question)
            line = await self._line()
        if unseen:
            self._show("\n")  # the one that was typed was not shown either
        return line

    async def _line(self) -> str:
        while b"\n" not in self._read:
            more = await self._more()
            if not more:
                if not self._read:
                    raise NoMoreLinesError
                break
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        return line.decode(errors="replace").strip("\r")

    async def _more(self) -> bytes:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        try:
            loop.add_reader(self._descriptor, lambda: None if ready.done() else ready.set_result(None))
        except PermissionError:  # a file is always ready
            return os.read(self._descriptor, 4096)
        try:
            await ready
        finally:
            loop.remove_reader(self._descriptor)
        return os.read(self._descriptor, 4096)


@contextlib.contextmanager
def _unseen(descriptor: int) -> Iterator[bool]:
    """The terminal shows nothing of what is typed. False: it is no terminal."""
    try:
        before = termios.tcgetattr(descriptor)
    except termios.error:
        yield False
        return
    silent = [*before]
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSAFLUSH, silent)
    try:
        yield True
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
