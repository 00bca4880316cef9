"""
Why: several replicas, one that acts: leader election by a coordination.k8s.io Lease, as client-go does it.
Never: let a replica write after its time; the clock that says so is its own monotonic one.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from botfleet_operator.kubeapi import LEASES, ConflictError, KubeApi, KubeError, NotLeadingError, UnreachableError

log = structlog.get_logger("botfleet.operator.leader")


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds. A successor waits `lease` after the last renewal that it saw; the leader stops at two thirds of it."""

    lease: float = 15.0

    @property
    def retry(self) -> float:
        return self.lease * 2 / 15

    @property
    def deadline(self) -> float:
        return self.lease * 2 / 3


@dataclass(slots=True)
class _Seen:
    """The Lease as last seen, and when this process saw it change (clocks of other machines are not believed)."""

    version: str
    holder: str
    seconds: float
    changed_at: float


class LeaderElection:
    """Holds, renews and releases the Lease `namespace/name` for `identity`."""

    def __init__(
        self,
        api: KubeApi,
        *,
        namespace: str,
        name: str,
        identity: str,
        terms: Terms | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._namespace, self._name, self._identity = namespace, name, identity
        self._terms = terms or Terms()
        self._clock = clock
        self._valid_until = float("-inf")
        self._seen: _Seen | None = None
        self._lease: dict[str, Any] = {}
        self._released = False
        self._asked = False  # to take the Lease as it was seen last, and no answer has come

    @property
    def leading(self) -> bool:
        """Whether this replica certainly is the leader now."""
        return not self._released and self._clock() < self._valid_until

    def guard(self) -> None:
        """Raises NotLeadingError unless this replica certainly is the leader now; asked before every write."""
        if not self.leading:
            raise NotLeadingError("this replica is not the leader (any more); nothing was written")

    async def acquire(self) -> None:
        """Returns when this replica is the leader."""
        while True:
            try:
                if await self._try_acquire():
                    log.info("leader_elected", identity=self._identity)
                    return
            except ConflictError:
                self._asked = False  # somebody was faster; look again
            except KubeError as error:
                log.warning("leader_election_failed", error=str(error))
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """Seconds before the next look; one comes when the term of the Lease that was seen last is over."""
        jitter = random.random()  # noqa: S311
        pause = self._terms.retry * (0.8 + 0.4 * jitter)
        if self._seen is None or not self._is_held_by_another():
            return pause
        rest = self._seen.changed_at + self._seen.seconds - self._clock()
        return min(pause, rest + self._terms.retry * (0.02 + 0.08 * jitter))

    async def hold(self) -> None:
        """Renews until that fails for longer than the deadline; returns when leadership is lost."""
        while True:
            await asyncio.sleep(self._terms.retry)
            if self._released:
                return
            try:
                await self._write(taking=False)
            except ConflictError:
                if not await self._still_mine():
                    break
            except KubeError as error:
                log.warning("leader_renewal_failed", error=str(error))
            if not self.leading:
                break
        if not self._released:
            log.error("leadership_lost", identity=self._identity)
            self._valid_until = float("-inf")

    async def release(self) -> None:
        """Gives the Lease up, so that a successor need not wait. The caller has stopped acting before.

        A renewal, or a taking, that was under way when this replica was told to stop may come through nevertheless: its
        answer is unknown, so a conflict here is followed by a second look.
        """
        if not (self.leading or self._asked):
            return
        self._released = True
        try:
            async with asyncio.timeout(self._terms.retry * 2):
                given = bool(self._lease) and await self._give_up()
                given = given or (await self._names_me() and await self._give_up())
        except (KubeError, TimeoutError) as error:
            log.warning("leadership_release_failed", error=str(error) or "no answer in time")
            return
        if given:
            log.info("leadership_released", identity=self._identity)
        else:
            log.warning("leadership_release_failed", error="somebody else wrote the Lease")

    async def _give_up(self) -> bool:
        """False: the Lease was written since it was seen last."""
        body = self._body(holder="")
        body["spec"]["leaseDurationSeconds"] = 1
        try:
            await self._api.replace(LEASES, self._namespace, self._name, body, timeout_seconds=self._terms.retry)
        except ConflictError:
            return False
        return True

    async def _try_acquire(self) -> bool:
        lease = await self._api.get(LEASES, self._namespace, self._name)
        if lease is None:
            if self._is_held_by_another():
                self._asked = False
                return False  # somebody deleted it; who had it leads by its own clock until its next renewal
            self._lease, self._asked = {}, True
            await self._create()
            return True
        self._remember(lease)
        self._asked = not self._is_held_by_another()
        if not self._asked:
            return False
        await self._write(taking=self._seen is None or self._seen.holder != self._identity)
        return True

    def _is_held_by_another(self) -> bool:
        """By what was seen last of the Lease, for its term since that was seen."""
        seen = self._seen
        if seen is None or seen.holder in ("", self._identity):
            return False
        return self._clock() - seen.changed_at <= seen.seconds

    async def _still_mine(self) -> bool:
        """After a conflict: somebody wrote the Lease. Mine still, if it names me (an edit of its labels, say)."""
        try:
            return await self._names_me()
        except KubeError as error:
            log.warning("leader_renewal_failed", error=str(error))
            return self.leading

    async def _names_me(self) -> bool:
        lease = await self._api.get(LEASES, self._namespace, self._name)
        if lease is None:
            return False
        self._remember(lease)
        return bool((lease.get("spec") or {}).get("holderIdentity") == self._identity)

    def _remember(self, lease: dict[str, Any]) -> None:
        self._lease = lease
        spec = lease.get("spec") or {}
        version = str(lease["metadata"]["resourceVersion"])
        if self._seen is None or self._seen.version != version:
            self._seen = _Seen(
                version,
                spec.get("holderIdentity") or "",
                float(spec.get("leaseDurationSeconds") or self._terms.lease),
                self._clock(),
            )

    def _body(self, holder: str) -> dict[str, Any]:
        old = self._lease.get("spec") or {}
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        changed = holder != (old.get("holderIdentity") or "")
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": max(1, round(self._terms.lease)),
            "renewTime": now,
            "acquireTime": now if changed else old.get("acquireTime", now),
            "leaseTransitions": int(old.get("leaseTransitions") or 0) + (1 if changed and holder else 0),
        }
        metadata = dict(self._lease.get("metadata") or {"name": self._name, "namespace": self._namespace})
        metadata.pop("managedFields", None)
        return {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}

    async def _create(self) -> None:
        sent = self._clock()
        try:
            async with asyncio.timeout(self._terms.deadline):
                lease = await self._api.create(LEASES, self._namespace, self._body(self._identity))
        except TimeoutError as error:
            raise UnreachableError("create leases: no answer before leadership would have ended") from error
        self._won(lease, sent)

    async def _write(self, *, taking: bool) -> None:
        sent = self._clock()
        lease = await self._api.replace(
            LEASES, self._namespace, self._name, self._body(self._identity), timeout_seconds=self._terms.deadline / 2
        )
        self._won(lease, sent)
        if taking:
            log.info("leader_lease_taken", identity=self._identity)

    def _won(self, lease: dict[str, Any], sent: float) -> None:
        self._remember(lease)
        self._asked = False
        self._valid_until = sent + self._terms.deadline
