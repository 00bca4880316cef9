"""
Why: one account is one bot, whoever of those that want it has it: who that is, and whether it may be so.
Never: ask the operator, or prefer one of them: the bindings in PostgreSQL say who has an account.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.integration.operator.harness import Database
from tests.integration.operator.storms.expected import Standing
from tests.integration.operator.storms.plan import Wanted

_BINDINGS = """
    select account_key, uid, deleted_at is null, proved from botfleet.bindings join botfleet.bots on bots.id = bot_id"""


@dataclass(frozen=True)
class Binding:
    """`uid`: of the bot's object. `proved`: Telegram has taken the credential."""

    uid: str
    living: bool
    proved: bool


@dataclass(frozen=True)
class Holders:
    """By the key of an account: who has it."""

    bound: Mapping[str, Binding]

    @classmethod
    def of(cls, database: Database) -> Holders:
        """As they are now; blocking."""
        return cls({key: Binding(*found) for key, *found in database.query(_BINDINGS)})

    def standing(self, bot: Wanted, uid: str) -> Standing:
        """Of a bot that exists, as this object."""
        if not bot.secret:
            return Standing.NO_SECRET
        holder = self.bound.get(_key(bot.account))
        return Standing.SERVED if holder is None or holder.uid == uid else Standing.IN_USE

    def wrong(self, bots: Mapping[str, Wanted]) -> Iterator[str]:
        """`bots`: those that exist, by their objects' UIDs. An account that somebody wants who has what it takes has a holder,
        who wants it too (and may have lost its Secret since), or has had it and has not proved yet what it wants now."""
        for key, holder in self.bound.items():
            bot = bots.get(holder.uid) if holder.living else None
            if bot is None:
                yield f"{key} is bound to a bot that is gone"
            elif _key(bot.account) != key and self._has_proved(bot, holder.uid):
                yield f"{key} is bound to {bot.name}, which has proved {bot.account} since"
        for bot in bots.values():
            if bot.secret and _key(bot.account) not in self.bound:
                yield f"{bot.name} wants {bot.account}, and nobody has it"

    def _has_proved(self, bot: Wanted, uid: str) -> bool:
        now = self.bound.get(_key(bot.account))
        return now is not None and now.uid == uid and now.proved


def _key(account: int) -> str:
    return f"bot:{account}"
