"""Why: what a runner tells about itself, in its lease row. Enumerated reasons and bounded values, never free text."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from botfleet.conditions import Reason


class Health(BaseModel):
    """The runner's own account of itself. The operator turns it into conditions; it trusts none of it with an action."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    spec_digest: Annotated[str, Field(max_length=64)]
    version: Annotated[str, Field(max_length=32)] = ""
    connected: bool = False
    authorized: bool | None = None  # None: not tried yet
    reason: Reason | None = None  # why not connected or not authorized
    account_id: int | None = None
    username: Annotated[str | None, Field(max_length=64)] = None
    last_reply_at: datetime | None = None

    @property
    def ready(self) -> bool:
        """Connected and authorized."""
        return self.connected and self.authorized is True
