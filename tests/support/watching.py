"""What a watch of one object tells, each event with the moment at which it came.

Who asks again and again measures kubectl as well, and `kubectl wait` its own start and end.
"""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botfleet_tools.binaries import Program, resolve
from botfleet_tools.progress import Progress
from botfleet_tools.run import Argv
from tests.support.stamped import StampedLines
from tests.waiting import DEADLINE

COLLECTIONS = {
    "telegrambot": "/apis/botfleet.dev/v1alpha1/namespaces/{}/telegrambots",
    "configmap": "/api/v1/namespaces/{}/configmaps",
    "lease": "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
}


@dataclass(frozen=True)
class Event:
    """`moment`: seconds by the wall clock."""

    moment: float
    type: str
    object: dict[str, Any]

    def condition(self, type_: str) -> dict[str, Any] | None:
        """Of a bot."""
        conditions = self.object.get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == type_), None)


class Watch:
    """Its first event is how the object was when the watch was opened, or a moment before."""

    def __init__(self, lines: list[tuple[float, str]]) -> None:
        self._lines = lines
        self._events: list[Event] = []

    def events(self) -> list[Event]:
        """All that it has told so far."""
        for moment, line in self._lines[len(self._events) :]:
            told = json.loads(line)
            assert told["type"] != "ERROR", told["object"]
            self._events.append(Event(moment, told["type"], told["object"]))
        return self._events

    def first(self, wanted: Callable[[Event], bool], seconds: float, told: str) -> Event:
        """The first event of that kind, waited for so many seconds; else fails with `told`."""
        end = time.monotonic() + seconds
        while (found := next((event for event in self.events() if wanted(event)), None)) is None:
            last = self._events[-1].object if self._events else None
            assert time.monotonic() < end, f"not within {seconds:.0f} s: {told}; last seen: {last}"
            time.sleep(0.01)
        return found

    def seconds_after(self, change: Callable[[], object], type_: str, seconds: float) -> float:
        """From the end of a change until this condition of the bot is True; waits for so many seconds."""
        began = time.time()
        change()
        changed = time.time()

        def true(event: Event) -> bool:
            condition = event.condition(type_)
            return event.moment > began and condition is not None and condition["status"] == "True"

        return self.first(true, seconds, f"{type_}=True").moment - changed


@contextlib.contextmanager
def watching(kubeconfig: str | Path, namespace: str, kind: str, name: str) -> Iterator[Watch]:
    """An open watch of an object that is there."""
    output = StampedLines()
    # From the API server's cache: to be asked for the newest it must first hear of it, and may answer that it has not.
    path = f"{COLLECTIONS[kind].format(namespace)}?watch=1&resourceVersion=0&fieldSelector=metadata.name%3D{name}"
    command: Argv = [resolve(Program.KUBECTL, Progress()), "--kubeconfig", kubeconfig, "get", "--raw", path]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output.end) as process:
        os.close(output.end)
        reader = output.start()
        try:
            watch = Watch(output.lines)
            watch.first(lambda _: True, DEADLINE, f"a watch of {kind} {namespace}/{name}")
            yield watch
        finally:
            process.terminate()
            process.wait(10)
            reader.join(10)
