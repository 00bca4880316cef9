"""Tells a person what is being built or waited for, and how long it has taken so far.

On a terminal a live line a step; elsewhere (CI, a pipe) plain lines with a heartbeat. It never shows a command's input.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress as LiveProgress
from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

HEARTBEAT_SECONDS = 15.0


@dataclass
class Step:
    """One thing that is under way; ``update`` says what of it is being done now."""

    title: str
    started: float = field(default_factory=time.monotonic)
    detail: str = ""
    _live: LiveProgress | None = None
    _task: TaskID | None = None

    def update(self, detail: str) -> None:
        """Say what is being done or waited for within this step."""
        self.detail = detail
        if self._live is not None and self._task is not None:
            self._live.update(self._task, description=escape(self.line()))

    @property
    def seconds(self) -> float:
        """How long the step has lasted."""
        return time.monotonic() - self.started

    def line(self) -> str:
        """The step and its detail in one line."""
        return f"{self.title}: {self.detail}" if self.detail else self.title


class Progress:
    """Shows steps, which may nest. One per command; safe to use from several threads."""

    def __init__(self, console: Console | None = None, *, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._heartbeat_seconds = heartbeat_seconds
        self._lock = threading.RLock()
        self._live: LiveProgress | None = None
        self._depth = 0
        # What no cache had, so that it is downloaded or built: the reason why a first time lasts.
        self.fetched: list[str] = []

    def say(self, message: str) -> None:
        """One line that stays."""
        console = self._live.console if self._live is not None else self.console
        console.print(escape(message), soft_wrap=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show ``title`` while the block runs, then how long it took and whether it worked."""
        step = Step(title)
        with self._shown(step):
            try:
                yield step
            except BaseException:
                self.say(f"✘ {step.line()} — failed after {step.seconds:.1f} s")
                raise
        self.say(f"✔ {title} ({step.seconds:.1f} s)")

    @contextmanager
    def _shown(self, step: Step) -> Iterator[None]:
        if self.console.is_terminal:
            with self._on_terminal(step):
                yield
        else:
            with self._plain(step):
                yield

    @contextmanager
    def _on_terminal(self, step: Step) -> Iterator[None]:
        with self._lock:
            if self._live is None:
                self._live = LiveProgress(
                    SpinnerColumn(),
                    TextColumn("{task.description}"),
                    TimeElapsedColumn(),
                    console=self.console,
                    transient=True,
                )
                self._live.start()
            live = self._live
            self._depth += 1
            task = live.add_task(escape(step.line()), total=None)
            step._live, step._task = live, task
        try:
            yield
        finally:
            with self._lock:
                live.remove_task(task)
                self._depth -= 1
                if self._depth == 0:
                    live.stop()
                    self._live = None

    @contextmanager
    def _plain(self, step: Step) -> Iterator[None]:
        self.say(f"… {step.title}")
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(self._heartbeat_seconds):
                self.say(f"  {step.line()} — {step.seconds:.0f} s so far")

        thread = threading.Thread(target=beat, name=f"progress {step.title}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
