"""
Why: one owner of all background tasks, so that none can die unseen: a death is logged and ends the readiness.
Never: restart a task silently.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger("botfleet.operator.tasks")


class Background:
    """Named tasks that should run until `stop`. `died` is set when one of them ended by itself."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.died = asyncio.Event()
        self.dead: list[str] = []

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work` until it is stopped; if it ends before, `died` is set."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._stopping or task.cancelled():
            return
        error = task.exception()
        self.dead.append(task.get_name())
        log.error("background_task_died", task=task.get_name(), exc_info=error)
        self.died.set()

    async def stop(self, deadline_seconds: float) -> None:
        """Cancels all tasks and waits for their ends, but no longer than the deadline."""
        self._stopping = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=deadline_seconds)
            for task in late:
                log.warning("background_task_late", task=task.get_name())
