"""Several replicas, one that acts: with a fake Lease and fake time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from botfleet_operator.kubeapi import ConflictError, NotLeadingError, UnreachableError
from botfleet_operator.leader import LeaderElection, Terms

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


class FakeLeases:
    """One Lease with optimistic locking, which may be cut off for a client."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.cut: set[str] = set()
        self.writes = 0

    def client(self, name: str) -> Any:
        return FakeApi(self, name)


class FakeApi:
    def __init__(self, leases: FakeLeases, name: str) -> None:
        self._leases, self._name = leases, name

    def _reach(self) -> None:
        if self._name in self._leases.cut:
            raise UnreachableError("cut")

    async def get(self, *_: Any, **__: Any) -> Any:
        self._reach()
        return self._leases.lease

    async def create(self, _: Any, __: Any, body: dict[str, Any]) -> Any:
        self._reach()
        if self._leases.lease is not None:
            raise ConflictError("exists")
        return self._store(body)

    async def replace(self, _: Any, __: Any, ___: Any, body: dict[str, Any], **____: Any) -> Any:
        self._reach()
        current = self._leases.lease
        if current is None or current["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise ConflictError("changed")
        return self._store(body)

    def _store(self, body: dict[str, Any]) -> Any:
        self._leases.version += 1
        self._leases.writes += 1
        metadata = {**body["metadata"], "resourceVersion": str(self._leases.version)}
        self._leases.lease = {**body, "metadata": metadata}
        return self._leases.lease


def candidate(leases: FakeLeases, name: str, seconds: float = 15) -> LeaderElection:
    return LeaderElection(
        leases.client(name), namespace="ns", name="lease", identity=name, terms=Terms(seconds),
        clock=asyncio.get_running_loop().time,
    )  # fmt: skip


async def test_the_first_one_leads_and_the_second_waits() -> None:
    leases = FakeLeases()
    first, second = candidate(leases, "a"), candidate(leases, "b")
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(second.acquire(), 300)
    assert first.leading
    assert not second.leading
    with pytest.raises(NotLeadingError):
        second.guard()
    first.guard()
    holding.cancel()


async def test_a_leader_that_vanishes_is_replaced_within_twenty_seconds() -> None:
    leases = FakeLeases()
    first, second = candidate(leases, "a"), candidate(leases, "b")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(3)
    began = asyncio.get_running_loop().time()
    await waiting
    assert asyncio.get_running_loop().time() - began < 20
    assert not first.leading


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
async def test_a_successor_leads_as_soon_as_the_term_that_it_saw_is_over(
    jitter: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botfleet_operator.leader.random.random", lambda: jitter)
    leases = FakeLeases()
    first, second = candidate(leases, "a"), candidate(leases, "b")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(0.01)  # it has looked, and hears of the next renewal only when it looks again
    await first.acquire()
    began = asyncio.get_running_loop().time()
    await waiting
    assert asyncio.get_running_loop().time() - began < 15 + 2.4 + 0.25
    assert not first.leading


async def test_a_leader_that_is_cut_off_stops_before_another_begins() -> None:
    leases = FakeLeases()
    first, second = candidate(leases, "a"), candidate(leases, "b")
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(30)
    leases.cut.add("a")
    while not waiting.done():
        assert not (first.leading and second.leading)
        await asyncio.sleep(0.1)
    assert second.leading
    assert holding.done()


async def test_a_released_lease_is_taken_at_the_next_look() -> None:
    leases = FakeLeases()
    first, second = candidate(leases, "a"), candidate(leases, "b")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(5)
    await first.release()
    assert not first.leading
    began = asyncio.get_running_loop().time()
    await waiting
    assert asyncio.get_running_loop().time() - began < 3
    await first.release()  # a second time: nothing


async def test_a_restarted_container_of_the_same_pod_leads_again_at_once() -> None:
    leases = FakeLeases()
    await candidate(leases, "pod-uid").acquire()
    again = candidate(leases, "pod-uid")
    await asyncio.wait_for(again.acquire(), 1)
    assert again.leading


async def test_somebodys_edit_of_the_lease_costs_nothing_and_a_stolen_one_is_noticed() -> None:
    leases = FakeLeases()
    first = candidate(leases, "a")
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    await asyncio.sleep(5)
    assert leases.lease is not None
    edited = {**leases.lease, "metadata": {**leases.lease["metadata"], "resourceVersion": "900", "labels": {"x": "y"}}}
    leases.lease, leases.version = edited, 900
    await asyncio.sleep(30)
    assert first.leading
    stolen = {**leases.lease, "spec": {**leases.lease["spec"], "holderIdentity": "thief"}}
    leases.lease = {**stolen, "metadata": {**stolen["metadata"], "resourceVersion": "9000"}}
    await asyncio.sleep(5)
    assert holding.done()
    assert not first.leading


async def test_a_lease_that_somebody_deleted_ends_leadership() -> None:
    leases = FakeLeases()
    first = candidate(leases, "a")
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    leases.lease = None
    await asyncio.wait_for(holding, 20)
    assert not first.leading


async def test_a_lease_that_somebody_deleted_makes_no_second_leader() -> None:
    leases = FakeLeases()
    first, second = candidate(leases, "a"), candidate(leases, "b")
    await first.acquire()
    holding, waiting = asyncio.create_task(first.hold()), asyncio.create_task(second.acquire())
    await asyncio.sleep(5)
    leases.cut.add("a")
    leases.lease = None
    while first.leading:  # by its own clock; nobody can tell it
        assert not second.leading
        await asyncio.sleep(0.1)
    await asyncio.wait_for(waiting, 20)
    assert second.leading
    holding.cancel()


async def test_the_election_survives_an_api_server_that_is_away() -> None:
    leases = FakeLeases()
    leases.cut.add("a")
    first = candidate(leases, "a")
    waiting = asyncio.create_task(first.acquire())
    await asyncio.sleep(60)
    leases.cut.clear()
    await asyncio.wait_for(waiting, 5)
    assert first.leading


async def test_a_first_lease_whose_answer_never_comes_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    leases = FakeLeases()
    first = candidate(leases, "a")
    made = first._api.create

    async def done_and_never_answered(*words: Any, **named: Any) -> Any:
        await made(*words, **named)
        await asyncio.Event().wait()

    monkeypatch.setattr(first._api, "create", done_and_never_answered)
    await asyncio.wait_for(first.acquire(), 60)
    assert first.leading


def stored_and_never_answered(who: LeaderElection, verb: str, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Its next write of this kind comes through, and it never hears of it; set when it came through."""
    honest, stored = getattr(who._api, verb), asyncio.Event()

    async def once(*words: Any, **named: Any) -> Any:
        monkeypatch.setattr(who._api, verb, honest)
        await honest(*words, **named)
        stored.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(who._api, verb, once)
    return stored


async def stopped(work: asyncio.Task[None], who: LeaderElection) -> None:
    """As the operator stops: first its tasks, then its leadership."""
    work.cancel()
    await asyncio.wait([work])
    await who.release()
    assert not who.leading


async def test_a_leader_that_is_told_to_stop_amid_a_renewal_hands_its_lease_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leases = FakeLeases()
    first = candidate(leases, "a")
    await first.acquire()
    stored = stored_and_never_answered(first, "replace", monkeypatch)
    holding = asyncio.create_task(first.hold())
    await stored.wait()
    await stopped(holding, first)
    assert leases.lease is not None
    assert leases.lease["spec"]["holderIdentity"] == ""


@pytest.mark.parametrize("verb", ["create", "replace"])
async def test_who_is_told_to_stop_while_it_takes_the_lease_leaves_it_to_the_next(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = FakeLeases()
    if verb == "replace":
        before = candidate(leases, "a")
        await before.acquire()
        await before.release()
    first = candidate(leases, "b")
    stored = stored_and_never_answered(first, verb, monkeypatch)
    electing = asyncio.create_task(first.acquire())
    await stored.wait()
    assert leases.lease is not None
    assert leases.lease["spec"]["holderIdentity"] == "b"
    await stopped(electing, first)
    assert leases.lease["spec"]["holderIdentity"] == ""


async def test_who_asked_for_the_lease_once_gives_up_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    leases = FakeLeases()
    first, second = candidate(leases, "a"), candidate(leases, "b")
    stored = stored_and_never_answered(first, "create", monkeypatch)
    electing = asyncio.create_task(first.acquire())
    await stored.wait()
    monkeypatch.setattr(leases, "lease", None)  # somebody deleted it
    await second.acquire()
    await asyncio.sleep(14)  # no answer for ten; then it has looked, and seen that it came too late
    await stopped(electing, first)
    assert leases.lease is not None
    assert leases.lease["spec"]["holderIdentity"] == "b"
