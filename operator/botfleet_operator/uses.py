"""
Why: which bots have to be looked at again when an object that a spec can name changes.
Never: the object itself, or whether it exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from botfleet_operator.model import BotKey


class Named(NamedTuple):
    """An object of a bot's namespace that its effective spec may name."""

    kind: str
    name: str


def named_in(spec: Any) -> Iterator[Named]:
    """Everything that a spec, valid or not, or a layer of defaults names."""
    if isinstance(spec, Mapping):
        for field, value in spec.items():
            kind = _kind_of(field)
            if kind and isinstance(value, Mapping) and isinstance(value.get("name"), str):
                yield Named(kind, value["name"])
            else:
                yield from named_in(value)
    elif isinstance(spec, list | tuple):
        for entry in spec:
            yield from named_in(entry)


def _kind_of(field: str) -> str | None:
    if field == "configMapKeyRef":
        return "ConfigMap"
    return "Secret" if field.endswith("SecretRef") or field == "secretKeyRef" else None


class Uses:
    """An index in both directions: a bot's names, and the bots that have a name."""

    def __init__(self) -> None:
        self._of: dict[BotKey, frozenset[Named]] = {}
        self._by: dict[tuple[str, Named], set[BotKey]] = {}

    def put(self, bot: BotKey, names: frozenset[Named]) -> None:
        """These are the bot's names now, and no others."""
        before = self._of.get(bot, frozenset())
        for name in before - names:
            users = self._by[(bot.namespace, name)]
            users.discard(bot)
            if not users:
                del self._by[(bot.namespace, name)]
        for name in names - before:
            self._by.setdefault((bot.namespace, name), set()).add(bot)
        if names:
            self._of[bot] = names
        else:
            self._of.pop(bot, None)

    def drop(self, bot: BotKey) -> None:
        """The bot is gone."""
        self.put(bot, frozenset())

    def by(self, namespace: str, name: Named) -> frozenset[BotKey]:
        """The bots that may use this object."""
        return frozenset(self._by.get((namespace, name), ()))
