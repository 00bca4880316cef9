"""
Why: a bot's transitions as Kubernetes Events (events.k8s.io/v1), for `kubectl describe` and `kubectl events`; what comes again
is counted in the Event that there is.
Never: hold up or fail a reconcile: Events wait in a bounded queue, and one that cannot be written is given up.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from botfleet.spec import API_VERSION, KIND
from botfleet_operator.kubeapi import EVENTS, MERGE_PATCH, KubeApi, KubeError, NotFoundError
from botfleet_operator.model import BotKey
from botfleet_operator.names import MANAGED_BY
from botfleet_operator.transitions import Transition

log = structlog.get_logger("botfleet.operator.events")

CONTROLLER = MANAGED_BY
WAITING_MOST = 1000
SERIES_MOST = 4096
SERIES_SECONDS = 3600.0  # the API server keeps an Event for an hour by default
QUIET_SECONDS = 30.0  # the same again within this time is counted, and told with the next


@dataclass(slots=True)
class _Series:
    name: str
    count: int
    seen_at: float
    written_at: float


@dataclass(frozen=True, slots=True)
class _News:
    key: BotKey
    uid: str
    transition: Transition


class EventRecorder:
    """Writes Events one after the other. Only who leads has one at work."""

    def __init__(
        self,
        api: KubeApi,
        *,
        reporter: str,
        guard: Callable[[], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api, self._reporter, self._guard = api, reporter[:128], guard
        self._now, self._monotonic = now, monotonic
        self._waiting: asyncio.Queue[_News] = asyncio.Queue(WAITING_MOST)
        self._known: OrderedDict[tuple[str, Transition], _Series] = OrderedDict()

    def tell(self, key: BotKey, uid: str, transition: Transition) -> None:
        """To be written soon; dropped when too many wait."""
        try:
            self._waiting.put_nowait(_News(key, uid, transition))
        except asyncio.QueueFull:
            log.info("event_dropped", namespace=key.namespace, bot=key.name, reason=transition.reason)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.write_next()

    async def write_next(self) -> None:
        """The next one, when it comes. A refusal (the namespace ends, a right is missing) is no error of ours."""
        news = await self._waiting.get()
        try:
            await self._write(news)
        except KubeError as error:
            log.info(
                "event_not_written",
                namespace=news.key.namespace,
                bot=news.key.name,
                reason=news.transition.reason,
                error=type(error).__name__,
            )

    async def _write(self, news: _News) -> None:
        at, known = self._monotonic(), self._known.get((news.uid, news.transition))
        if known is not None and at - known.seen_at < SERIES_SECONDS:
            known.count, known.seen_at = known.count + 1, at
            if at - known.written_at < QUIET_SECONDS or await self._counted(news, known):
                return
        await self._create(news, at)

    async def _counted(self, news: _News, series: _Series) -> bool:
        """Whether the Event of this series is still there."""
        patch = {"series": {"count": series.count, "lastObservedTime": _micro(self._now())}}
        series.written_at = self._monotonic()
        try:
            await self._api.patch(EVENTS, news.key.namespace, series.name, patch, content_type=MERGE_PATCH)
        except NotFoundError:
            return False
        return True

    async def _create(self, news: _News, at: float) -> None:
        self._guard()
        now = self._now()
        # A name of its own, as client-go makes them: the object's, and when.
        name = f"{news.key.name}.{time.time_ns():x}"
        self._known[(news.uid, news.transition)] = _Series(name, 1, at, at)
        self._known.move_to_end((news.uid, news.transition))
        if len(self._known) > SERIES_MOST:
            self._known.popitem(last=False)
        await self._api.create(
            EVENTS, news.key.namespace, event(news.key, news.uid, news.transition, name, now, self._reporter)
        )


def event(key: BotKey, uid: str, transition: Transition, name: str, now: datetime, reporter: str) -> dict[str, Any]:
    """The object."""
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": name, "namespace": key.namespace},
        "eventTime": _micro(now),
        "reportingController": CONTROLLER,
        "reportingInstance": reporter,
        "type": transition.type,
        "reason": transition.reason,
        "action": transition.action,
        "note": transition.note,
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "namespace": key.namespace,
            "name": key.name,
            "uid": uid,
        },
    }


def _micro(moment: datetime) -> str:
    """metav1.MicroTime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
