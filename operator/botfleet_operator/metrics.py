"""
Why: the names of all metrics of the operator in one place.
Never: label a metric with something unbounded, or keep a series of an object that is gone.
"""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from botfleet.conditions import ConditionType, Phase

STATUSES = ("True", "False", "Unknown")
Statuses = tuple[str, ...]
"""Of all conditions, in the order of ConditionType; empty: the bot does not have it."""


def statuses(conditions: Iterable[Mapping[str, object]]) -> Statuses:
    """Of a TelegramBot's `status.conditions`."""
    told = {str(c.get("type")): str(c.get("status")) for c in conditions}
    return tuple(told.get(condition.value, "") for condition in ConditionType)


class Metrics:
    """One registry a process (tests make their own)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.reconciles = Counter(
            "botfleet_operator_reconciles", "Reconciles by result.", ["result"], registry=self.registry
        )
        self.reconcile_seconds = Histogram(
            "botfleet_operator_reconcile_seconds",
            "Duration of a reconcile, by result.",
            ["result"],
            registry=self.registry,
            buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 30),
        )
        self.api_requests = Counter(
            "botfleet_operator_api_requests",
            "Requests to the API server; status 0: no answer.",
            ["verb", "resource", "status"],
            registry=self.registry,
        )
        self.queue_depth = Gauge(
            "botfleet_operator_queue_depth", "Bots that wait for a worker.", registry=self.registry
        )
        self.queue_oldest = Gauge(
            "botfleet_operator_queue_oldest_seconds",
            "How long the first of them has been waiting.",
            registry=self.registry,
        )
        self.queue_retrying = Gauge(
            "botfleet_operator_queue_retrying",
            "Bots whose last reconcile failed, each with a back-off of its own.",
            registry=self.registry,
        )
        self.watch_silence = Gauge(
            "botfleet_operator_watch_silence_seconds",
            "How long a watch has brought nothing, bookmarks included; after BOTFLEET_WATCH_IDLE_SECONDS it is opened anew.",
            ["resource"],
            registry=self.registry,
        )
        self.bots = Gauge("botfleet_operator_bots", "TelegramBots by phase.", ["phase"], registry=self.registry)
        self.conditions = Gauge(
            "botfleet_operator_bot_conditions",
            "TelegramBots by condition and its status.",
            ["condition", "status"],
            registry=self.registry,
        )
        self.leader = Gauge("botfleet_operator_leader", "1 on the replica that acts.", registry=self.registry)
        self.removal_halted = Gauge(
            "botfleet_operator_removal_halted",
            "1 while so many bots are missing at once that nothing is removed until a person has looked.",
            registry=self.registry,
        )
        self.rollout_pending = Gauge(
            "botfleet_operator_rollout_pending",
            "Bots that keep their old pod template until their wave.",
            registry=self.registry,
        )
        self.rollout_in_progress = Gauge(
            "botfleet_operator_rollout_in_progress",
            "Bots that a wave brought a new pod template, and that were not Ready with it yet.",
            registry=self.registry,
        )
        self.rollout_halted = Gauge(
            "botfleet_operator_rollout_halted",
            "1 while no further wave goes, since bots of the last one did not become Ready in time.",
            registry=self.registry,
        )
        self.store_failures = Counter(
            "botfleet_operator_store_failures", "Failed calls to database and Redis.", ["store"], registry=self.registry
        )

    def saw_request(self, verb: str, resource: str, status: int) -> None:
        """For KubeApi(on_request=…)."""
        self.api_requests.labels(verb, resource, str(status)).inc()

    def count_phases(self, phases: Iterable[str]) -> None:
        """How many bots are in which phase; phases without bots count 0."""
        counted = Counted(phases)
        for phase in Phase:
            self.bots.labels(phase.value).set(counted[phase.value])

    def count_conditions(self, told: Iterable[Statuses]) -> None:
        """How many bots say what of each condition; what no bot says counts 0."""
        counted = Counted(pair for statuses in told for pair in zip(ConditionType, statuses, strict=True))
        for condition in ConditionType:
            for status in STATUSES:
                self.conditions.labels(condition.value, status).set(counted[(condition, status)])

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
