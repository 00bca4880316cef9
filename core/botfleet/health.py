"""Why: what a runner tells about itself, in its lease row. Enumerated reasons and bounded values, never free text."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from botfleet.conditions import Reason

_EARLIEST, _LATEST = datetime(2013, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _in_utc(moment: datetime) -> datetime:
    # Compared first: near the ends of what a datetime can be, a change of the zone is an error of its own.
    if not _EARLIEST <= moment <= _LATEST:
        raise ValueError("no time at which a bot can have replied")
    return moment.astimezone(UTC)


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
    last_reply_at: Annotated[AwareDatetime, AfterValidator(_in_utc)] | None = None

    @property
    def ready(self) -> bool:
        """Connected and authorized."""
        return self.connected and self.authorized is True
