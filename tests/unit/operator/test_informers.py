"""What exists, as list and watch tell it, with own writes in between. Against scripted lists and watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from botfleet_operator.informers import Informer
from botfleet_operator.kubeapi import CONFIG_MAPS, ForbiddenError, GoneError, Page, UnreachableError, WatchEvent
from botfleet_operator.model import ChildRecord, child_record

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def body(name: str, version: int, uid: str = "u", namespace: str = "ns", **labels: str) -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": name, "uid": uid, "resourceVersion": str(version), "labels": labels}
    return {"metadata": metadata}


class Script:
    """Stands for the API: what the next list and the next watch bring. A watch without more hangs."""

    def __init__(self) -> None:
        self.lists: list[Any] = []
        self.watches: list[Any] = []
        self.since: list[str] = []

    async def list_pages(self, *_: Any, **__: Any) -> AsyncIterator[Page]:
        result = self.lists.pop(0)
        if isinstance(result, Exception):
            raise result
        version, items = result
        yield Page(items=items, resource_version=version)

    async def watch(self, *_: Any, since: str, **__: Any) -> AsyncIterator[WatchEvent]:
        self.since.append(since)
        if not self.watches:
            await asyncio.Event().wait()
        for event in self.watches.pop(0):
            if isinstance(event, Exception):
                raise event
            yield WatchEvent(*event)


Change = tuple[ChildRecord | None, ChildRecord | None]


class Harness:
    def __init__(self, script: Script, namespaces: tuple[str, ...] = ()) -> None:
        self.changes: list[Change] = []
        self.informer: Informer[ChildRecord] = Informer(
            script,  # type: ignore[arg-type]
            CONFIG_MAPS,
            lambda b: child_record("ConfigMap", b),
            lambda old, new: self.changes.append((old, new)),
            namespaces=namespaces,
        )

    async def run(self, seconds: float = 100) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.informer.run()

    def versions(self) -> dict[str, int]:
        return {record.name: record.version for record in self.informer}


async def test_a_list_then_changes_then_an_end() -> None:
    script = Script()
    script.lists = [("10", [body("a", 3), body("b", 4)])]
    script.watches = [
        [
            ("MODIFIED", body("a", 11)),
            ("BOOKMARK", {"metadata": {"resourceVersion": "15"}}),
            ("DELETED", body("b", 16)),
            ("ADDED", body("c", 17)),
        ],
    ]
    harness = Harness(script)
    await harness.run()
    assert harness.versions() == {"a": 11, "c": 17}
    assert script.since == ["10", "17"]
    assert harness.informer.synced.is_set()
    assert len(harness.informer) == 2
    assert [(old is None, new is None) for old, new in harness.changes] == [
        (True, False), (True, False), (False, False), (False, True), (True, False),
    ]  # fmt: skip


async def test_a_watch_that_is_cut_goes_on_where_it_was_and_one_that_is_too_old_lists_again() -> None:
    script = Script()
    script.lists = [("10", [body("a", 3), body("b", 4)]), ("40", [body("b", 30)])]
    script.watches = [
        [("BOOKMARK", {"metadata": {"resourceVersion": "20"}}), UnreachableError("cut")],
        [GoneError("old")],
    ]
    harness = Harness(script)
    await harness.run()
    assert script.since == ["10", "20", "40"]
    assert harness.versions() == {"b": 30}  # a went while nobody looked


async def test_an_error_is_never_taken_for_absence() -> None:
    script = Script()
    script.lists = [
        ("10", [body("a", 3)]),
        UnreachableError("x"),
        ForbiddenError("y", status=403),
        ("50", [body("a", 3)]),
    ]
    script.watches = [[GoneError("old")]]
    harness = Harness(script)
    await harness.run()
    assert harness.versions() == {"a": 3}
    assert len(harness.changes) == 1


async def test_a_refused_watch_is_tried_again_with_patience() -> None:
    script = Script()
    script.lists = [("10", [])]
    script.watches = [
        [ForbiddenError("no", status=403)],
        [ForbiddenError("no", status=403)],
        [("ADDED", body("a", 12))],
    ]
    harness = Harness(script)
    await harness.run()
    assert harness.versions() == {"a": 12}


async def test_an_own_write_is_known_at_once_and_older_news_does_not_undo_it() -> None:
    script = Script()
    script.lists = [("10", [body("a", 3, mine="old")])]
    harness = Harness(script)
    running = asyncio.create_task(harness.run())
    await harness.informer.synced.wait()
    harness.informer.put(child_record("ConfigMap", body("a", 20, mine="new")))
    assert harness.versions() == {"a": 20}
    script.watches = []
    running.cancel()
    stale = Script()
    stale.lists = [("15", [body("a", 11)])]
    again = Harness(stale)
    again.informer.put(child_record("ConfigMap", body("a", 20)))
    again.informer.put(child_record("ConfigMap", body("written", 25)))
    await again.run()
    assert again.versions() == {"a": 20, "written": 25}  # not in the list, but newer than it


async def test_a_late_answer_does_not_bring_back_what_was_deleted_meanwhile() -> None:
    script = Script()
    script.lists = [("10", [body("a", 3)])]
    script.watches = [[("MODIFIED", body("a", 11)), ("DELETED", body("a", 12))]]
    harness = Harness(script)
    await harness.run()
    harness.informer.put(child_record("ConfigMap", body("a", 11)))
    assert harness.versions() == {}
    harness.informer.put(child_record("ConfigMap", body("a", 30, uid="new")))
    assert harness.versions() == {"a": 30}


async def test_the_watchs_word_on_the_same_version_completes_ours_without_noise() -> None:
    script = Script()
    script.lists = [("10", [])]
    script.watches = [[("ADDED", body("a", 11))]]
    harness = Harness(script)
    partial = child_record("ConfigMap", body("a", 11))
    harness.informer.put(replace(partial, bot="guess"))
    await harness.run()
    assert next(iter(harness.informer)).bot is None
    assert len(harness.changes) == 1


async def test_what_is_known_beyond_a_version_lasts_as_long_as_the_version() -> None:
    harness = Harness(Script())
    record = child_record("ConfigMap", body("a", 11))
    harness.informer.put(record)
    harness.informer.amend(replace(record, deleting=True))
    assert harness.informer.get("ns", "a") == replace(record, deleting=True)
    harness.informer.amend(replace(record, version=12))
    assert harness.versions() == {"a": 11}


async def test_each_namespace_is_listed_for_itself_and_all_must_be_known() -> None:
    script = Script()
    script.lists = [("10", [body("a", 3, namespace="one")]), ("11", [body("a", 4, namespace="two")])]
    harness = Harness(script, namespaces=("one", "two"))
    await harness.run()
    assert harness.informer.synced.is_set()
    assert {(r.namespace, r.name) for r in harness.informer} == {("one", "a"), ("two", "a")}


async def test_how_long_a_watch_has_been_silent_is_that_of_its_most_silent_namespace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr("botfleet_operator.informers.time", SimpleNamespace(monotonic=lambda: clock.now))
    script = Script()
    harness = Harness(script, namespaces=("ns", "other"))
    clock.now = 130.0
    assert harness.informer.silent_seconds == 30
    script.lists = [("10", []), ("10", [])]
    await harness.run()
    assert harness.informer.silent_seconds == 0
    clock.now = 140.0
    assert harness.informer.silent_seconds == 10
