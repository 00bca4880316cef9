"""The list of faults that are switched on, shared by both servers: which rule meets this call, and how often still.

It decides and counts; it must never perform a fault itself.
"""

import asyncio
import fnmatch
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botfleet_simulator.recorder import Pulse


class UnknownFaultError(LookupError):
    """There is no rule with that id."""


class UnknownEffectError(ValueError):
    """No fault of that name exists."""


@dataclass(slots=True)
class Rule:
    """One fault: what it does, to whom, how often."""

    id: int
    effect: str
    match: dict[str, str]
    times_left: int | None
    skip: int
    until: float | None
    options: dict[str, Any]
    hits: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def spent(self) -> bool:
        """Whether the rule can never meet a call again."""
        return self.times_left == 0 or (self.until is not None and time.monotonic() >= self.until)

    def fits(self, facts: Mapping[str, str]) -> bool:
        """Whether all patterns of the rule fit the facts of a call."""
        return all(fnmatch.fnmatchcase(facts.get(name, "").casefold(), pattern) for name, pattern in self.match.items())

    def view(self) -> dict[str, Any]:
        """The rule as the admin API shows it."""
        return {
            "id": self.id,
            "effect": self.effect,
            **self.match,
            "times_left": self.times_left,
            "skip": self.skip,
            "hits": self.hits,
            "spent": self.spent(),
            "options": self.options,
        }


class FaultBook:
    """All rules in the order in which they were added; the first that fits is used."""

    def __init__(self, effects: Mapping[str, frozenset[str]]) -> None:
        self._effects = effects
        self._rules: dict[int, Rule] = {}
        self._next_id = 1
        self.live: frozenset[str] = frozenset()
        self.pulse = Pulse()

    def add(
        self,
        effect: str,
        *,
        match: Mapping[str, str],
        times: int | None = 1,
        skip: int = 0,
        seconds: float | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Rule:
        """Switch a fault on. Raises UnknownEffectError for a name or an option that does not exist."""
        allowed = self._effects.get(effect)
        if allowed is None:
            raise UnknownEffectError(f"no fault {effect!r}; there are: {', '.join(sorted(self._effects))}")
        extra = set(options or {}) - allowed
        if extra:
            known = ", ".join(sorted(allowed)) or "no options"
            raise UnknownEffectError(f"fault {effect!r} has no option {', '.join(sorted(extra))}; it has: {known}")
        rule = Rule(
            id=self._next_id,
            effect=effect,
            match={name: pattern.casefold() for name, pattern in match.items() if pattern != "*"},
            times_left=times,
            skip=skip,
            until=None if seconds is None else time.monotonic() + seconds,
            options=dict(options or {}),
        )
        self._next_id += 1
        self._rules[rule.id] = rule
        self._changed()
        return rule

    def take(self, *effects: str, **facts: str) -> Rule | None:
        """The first rule of these effects that fits, counted as used; None when nothing is to go wrong."""
        if self.live.isdisjoint(effects):
            return None
        for rule in self._rules.values():
            if rule.effect not in effects or rule.spent() or not rule.fits(facts):
                continue
            if rule.skip > 0:
                rule.skip -= 1
                continue
            rule.hits += 1
            if rule.times_left is not None:
                rule.times_left -= 1
            self._changed()
            return rule
        return None

    def get(self, rule_id: int) -> Rule:
        """The rule with that id, spent or not."""
        try:
            return self._rules[rule_id]
        except KeyError:
            raise UnknownFaultError(f"no fault with id {rule_id}") from None

    def all(self) -> list[Rule]:
        """Every rule, spent ones too (their hits are evidence)."""
        return list(self._rules.values())

    def release(self, rule_id: int) -> None:
        """Let go what the rule holds, and hold nothing more."""
        rule = self.get(rule_id)
        rule.times_left = 0
        rule.released.set()
        self._changed()

    def remove(self, rule_id: int) -> None:
        """Switch a fault off; what it holds is let go."""
        self.get(rule_id).released.set()
        del self._rules[rule_id]
        self._changed()

    def clear(self) -> None:
        """Switch every fault off."""
        for rule_id in list(self._rules):
            self.remove(rule_id)

    def _changed(self) -> None:
        self.live = frozenset(rule.effect for rule in self._rules.values() if not rule.spent())
        self.pulse.beat()
