"""The client of the model simulator's admin port.

It must never keep state of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botfleet_simulator.client.http import UNSET, WAIT_SECONDS, AdminClient
from botfleet_simulator.client.views import Fault, View


@dataclass(frozen=True, slots=True)
class ModelRequest(View):
    """A request that came. `outcome`: running, ok, or what went wrong on purpose.

    `seconds`: from its arrival until its answer was ready, of a stream until it was written; None before that.
    """

    seq: int
    time: float
    api: str
    key: str
    model: str
    stream: bool
    messages: list[dict[str, Any]]
    params: dict[str, Any] = field(default_factory=dict)
    images: list[dict[str, Any]] = field(default_factory=list)
    audio: dict[str, Any] | None = None
    outcome: str = "running"
    answer: str | None = None
    seconds: float | None = None


class ModelAdmin(AdminClient):
    """Everything a test may do to a simulated model."""

    async def requests(self, *, after: int = 0, key: str | None = None, model: str | None = None) -> list[ModelRequest]:
        """Requests that came, oldest first."""
        query = {"after": after, "key": key, "model": model}
        return [ModelRequest.of(item) for item in await self.call("GET", "/requests", query=query)]

    async def wait_requests(
        self,
        *,
        count: int = 1,
        after: int = 0,
        key: str | None = None,
        contains: str | None = None,
        outcome: str = "*",
        timeout: float = WAIT_SECONDS,
    ) -> list[ModelRequest]:
        """Wait until so many such requests came (they need not be answered yet). Raises TimeoutError."""
        query = {"count": count, "after": after, "key": key, "contains": contains, "outcome": outcome}
        return [
            ModelRequest.of(item) for item in await self.call("GET", "/wait/requests", query=query, patience=timeout)
        ]

    async def last_request(self) -> int:
        """The number of the newest request; for `after`."""
        return int((await self.call("GET", "/requests/last"))["seq"])

    async def reset_requests(self) -> None:
        """Forget the requests so far."""
        await self.call("DELETE", "/requests")

    async def add_fault(
        self,
        effect: str,
        *,
        key: str | None = None,
        model: str | None = None,
        api: str | None = None,
        times: Any = UNSET,
        skip: int = 0,
        seconds: float | None = None,
        **options: Any,
    ) -> Fault:
        """Switch a fault on; `key` and `model` may be globs. `api`: chat, responses or transcriptions."""
        match = {k: value for k, value in (("key", key), ("model", model), ("api", api)) if value is not None}
        return await self._add_fault(effect, match, times=times, skip=skip, seconds=seconds, options=options)

    async def set_answers(self, answers: str | Mapping[str, Any]) -> None:
        """Replace the answers by those of a YAML text or of data."""
        await self.call("PUT", "/answers", body={"answers": answers})

    async def settings(self) -> dict[str, Any]:
        """The settings."""
        return dict(await self.call("GET", "/settings"))

    async def update_settings(self, **changes: Any) -> dict[str, Any]:
        """Change `latency` (seconds before each answer); `keys` that are accepted, `vision`: models that take images (None: any)."""
        return dict(await self.call("PATCH", "/settings", body=changes))
