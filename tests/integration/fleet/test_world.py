"""One name, several objects: whatever comes late, twice or not at all, the bot that is there is the one that is known."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import permutations
from typing import Any

import kopf
import pytest
from kopf._cogs.clients import watching
from kopf._cogs.structs import ephemera, references
from kopf._core.actions import lifecycles
from kopf._core.engines import indexing
from kopf._core.reactor import inventory, processing, queueing

from botfleet_operator.model import bot_record
from botfleet_operator.world import TELEGRAM_BOTS
from tests.unit.operator.rig import KEY_OF, Rig
from tests.waiting import until

OBJECT = ("TelegramBot", "hotel", "concierge")
EVENTS = ("changed", "changed again", "deleted", "made anew")


async def remade(rig: Rig) -> dict[str, Callable[[], None]]:
    """A bot that runs; its object is changed twice, deleted and made anew. What the watch tells of each, to be told in any order."""
    first = rig.show(uid="uid-1")
    await rig.reconcile()
    changed, again = (replace(first, version=rig.api.version + more) for more in (1, 2))
    rig.api.version += 3
    body = rig.api.objects.pop(OBJECT)
    rig.api.store("TelegramBot", {**body, "metadata": {**body["metadata"], "uid": "uid-2"}})
    second = bot_record(rig.api.objects[OBJECT])
    world = rig.world
    tells = (
        lambda: world.bot_seen(changed),
        lambda: world.bot_seen(again),
        lambda: world.bot_deleted(KEY_OF, "uid-1"),
        lambda: world.bot_seen(second),
    )
    return dict(zip(EVENTS, tells, strict=True))


@pytest.mark.parametrize("looked_at", [False, True], ids=["all at once", "looked at in between"])
@pytest.mark.parametrize("order", list(permutations(EVENTS)), ids=" - ".join)
async def test_in_whatever_order_the_end_of_a_bot_and_its_successor_are_told_the_successor_is_the_bot(
    rig: Rig, order: tuple[str, ...], looked_at: bool
) -> None:
    tell = await remade(rig)
    for event in order:
        tell[event]()
        if looked_at:
            await rig.reconcile()
    assert rig.world.bots[KEY_OF].uid == "uid-2"
    assert "uid-2" not in rig.world.gone
    for _ in range(2):
        await rig.reconcile()
    assert (rig.world.gone, rig.ledger.living()[KEY_OF].uid, len(rig.roles.roles)) == ({}, "uid-2", 1)
    await rig.look()
    await rig.look()
    assert (rig.world.bots[KEY_OF].uid, rig.ledger.living()[KEY_OF].uid) == ("uid-2", "uid-2")


# What kopf does with a burst


def burst(rig: Rig) -> Iterator[dict[str, Any]]:
    """One after the other on the wire; the last is that of the object that is there in the end."""
    kinds = [("MODIFIED", "uid-1"), ("MODIFIED", "uid-1"), ("DELETED", "uid-1"), ("ADDED", "uid-2")]
    for more, (kind, uid) in enumerate(kinds, start=1):
        metadata = {
            "namespace": "hotel",
            "name": "concierge",
            "uid": uid,
            "resourceVersion": str(rig.api.version + more),
        }
        yield {"type": kind, "object": {"kind": TELEGRAM_BOTS.kind, "metadata": metadata, "spec": {}}}


async def test_kopf_keeps_the_order_within_one_object_alone_and_a_burst_ends_with_the_bot_that_is_there(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By kopf's own watcher, queues and workers: whoever upgrades it learns here whether it still hands events on like that."""
    rig.show(uid="uid-1")
    told: list[tuple[str, str]] = []
    registry, settings = kopf.OperatorRegistry(), kopf.OperatorSettings()
    settings.posting.enabled = False

    @kopf.on.event(TELEGRAM_BOTS.group, TELEGRAM_BOTS.version, TELEGRAM_BOTS.plural, registry=registry)
    async def told_of(event: kopf.RawEvent, **_: Any) -> None:
        bot = bot_record(event["object"])
        told.append((str(event["type"]), bot.uid))
        if event["type"] == "DELETED":
            rig.world.bot_deleted(bot.key, bot.uid)
        else:
            rig.world.bot_seen(bot)

    async def watch(**_: Any) -> AsyncIterator[dict[str, Any]]:
        for event in burst(rig):
            yield event
        await asyncio.Event().wait()

    monkeypatch.setattr(watching, "infinite_watch", watch)
    resource = references.Resource(
        TELEGRAM_BOTS.group, TELEGRAM_BOTS.version, TELEGRAM_BOTS.plural, kind=TELEGRAM_BOTS.kind, namespaced=True
    )
    processor = functools.partial(
        processing.process_resource_event, lifecycle=lifecycles.get_default_lifecycle(), registry=registry,
        settings=settings, indexers=indexing.OperatorIndexers(), memories=inventory.ResourceMemories(),
        memobase=ephemera.AnyMemo(ephemera.Memo()), resource=resource, event_queue=asyncio.Queue(),
    )  # fmt: skip
    watcher = asyncio.create_task(
        queueing.watcher(namespace=None, settings=settings, resource=resource, processor=processor)
    )
    try:
        await until(lambda: len(told) == 4)
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher
    assert [kind for kind, uid in told if uid == "uid-1"] == ["MODIFIED", "MODIFIED", "DELETED"]
    assert told[-1] != ("ADDED", "uid-2"), "if it comes last by now, the world's guard is needed no longer"
    assert (rig.world.bots[KEY_OF].uid, rig.world.gone) == ("uid-2", {"uid-1": KEY_OF})


# What no watch shows


async def test_a_bot_that_no_watch_has_shown_is_made_known_at_two_looks(rig: Rig) -> None:
    rig.show()
    body = rig.api.objects[OBJECT]
    rig.api.store("TelegramBot", {**body, "metadata": {**body["metadata"], "name": "other", "uid": "uid-9"}})
    await rig.look()
    await rig.look(after=10)
    assert set(rig.world.bots) == {KEY_OF}
    await rig.woken()
    await rig.look(after=50)
    (found,) = [bot for bot in rig.world.bots.values() if bot.name == "other"]
    assert (found.uid, found.spec) == ("uid-9", body["spec"])
    assert await rig.woken() == [found.key]
    assert ("get", "TelegramBot", "concierge") not in rig.api.calls


async def test_what_a_watch_shows_after_all_is_not_overtaken_by_what_was_found(rig: Rig) -> None:
    rig.show()
    rig.world.bots.clear()
    await rig.look()
    honest = rig.api.get

    async def slowly(*words: Any, **named: Any) -> Any:
        body = await honest(*words, **named)
        rig.change(spec={"suspend": True})
        return body

    rig.api.get = slowly
    await rig.look()
    assert rig.world.bots[KEY_OF].spec["suspend"] is True


async def test_what_is_deleted_while_it_is_found_is_not_made_known(rig: Rig) -> None:
    rig.show()
    rig.world.bots.clear()
    await rig.look()
    honest = rig.api.get

    async def slowly(*words: Any, **named: Any) -> Any:
        body = await honest(*words, **named)
        rig.hide()
        return body

    rig.api.get = slowly
    await rig.look()
    assert not rig.world.bots
    assert rig.world.gone == {"uid-1": KEY_OF}


async def test_bots_of_another_cluster_are_not_made_known(rig: Rig) -> None:
    rig.show()
    rig.world.bots.clear()
    rig.still_there = False
    for _ in range(3):
        await rig.look()
    assert rig.world.bots == {}


@pytest.mark.parametrize("made", ["anew", "as it was", "as it was, after it was deleted"])
async def test_in_an_etcd_that_was_restored_versions_are_lower_and_what_is_there_is_known_after_two_looks(
    rig: Rig, made: str
) -> None:
    rig.show()
    await rig.reconcile()
    body, rig.api.version = rig.api.objects.pop(OBJECT), 10
    if made == "as it was, after it was deleted":
        rig.world.bot_deleted(KEY_OF, "uid-1")
    uid = "uid-2" if made == "anew" else "uid-1"
    metadata = {**body["metadata"], "uid": uid, "generation": 7}
    rig.api.store("TelegramBot", {**body, "metadata": metadata, "spec": {**body["spec"], "suspend": True}})
    shown = bot_record(rig.api.objects[OBJECT])
    rig.world.bot_seen(shown)
    assert rig.world.bots.get(KEY_OF) != shown, "older, as far as a version tells"
    await rig.look()
    await rig.look()
    assert rig.world.bots[KEY_OF] == shown
    for _ in range(2):
        status = await rig.reconcile()
    assert (rig.world.gone, rig.ledger.living()[KEY_OF].uid) == ({}, uid)
    assert status["observedGeneration"] == 7
    later = bot_record({**rig.api.objects[OBJECT], "spec": body["spec"]})
    rig.world.bot_seen(later)
    assert rig.world.bots[KEY_OF] == later, "from here on the watch is believed again"
