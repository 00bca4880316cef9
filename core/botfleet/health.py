"""Why: what a runner tells about itself, in its lease row. Enumerated reasons and bounded values, never free text."""

from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from botfleet.conditions import Reason

_EARLIEST, _LATEST = datetime(2013, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _in_utc(moment: datetime) -> datetime:
    # Compared first: near the ends of what a datetime can be, a change of the zone is an error of its own.
    if not _EARLIEST <= moment <= _LATEST:
        raise ValueError("no time at which a bot can have done anything")
    return moment.astimezone(UTC)


def _known(word: Any) -> Any:
    """A reason of a newer runner is none that we can tell; the rest of what it says is as good as before."""
    return word if not isinstance(word, str) or word in set(Reason) else None


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Word = Annotated[Reason | None, BeforeValidator(_known)]
Amount = Annotated[int, Field(ge=0, lt=2**63)]


class Spent(BaseModel):
    """What the models cost on a UTC day. `micros`: millionths of the owner's currency. `rung`: a reason of WithinBudget."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    day: date
    tokens: Amount
    micros: Amount
    rung: Word


class Health(BaseModel):
    """The runner's own account of itself. The operator turns it into conditions; it trusts none of it with an action."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    spec_digest: Annotated[str, Field(max_length=64)]
    version: Annotated[str, Field(max_length=32)] = ""
    connected: bool = False
    authorized: bool | None = None  # None: not tried yet
    receiving: bool | None = None  # None: not proved, either way
    reason: Reason | None = None  # why not connected, not authorized or not receiving
    account_id: Annotated[int | None, Field(gt=0, lt=2**63)] = None
    username: Annotated[str | None, Field(max_length=64)] = None
    privacy_mode: bool | None = None  # BotFather's; None: not known, or a person's account
    model: Word = None  # a reason of ModelAvailable; None: nothing was asked yet
    restriction: Word = None  # a reason of Unrestricted; None: none is known
    restricted_until: Moment | None = None  # None: Telegram has not said
    spent: Spent | None = None  # today, where the spec has a budget; None: not looked at yet
    pending: Annotated[int | None, Field(ge=0, lt=2**31)] = (
        None  # messages that wait for an answer; None: not counted yet
    )
    last_message_at: Moment | None = None
    last_reply_at: Moment | None = None

    @property
    def ready(self) -> bool:
        """Connected and authorized."""
        return self.connected and self.authorized is True
