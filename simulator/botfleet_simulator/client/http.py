"""One call to an admin port: JSON in, JSON out, every answer within a deadline.

A connection a call, so that a client object works in any event loop and over restarts of the server. It must never retry.
"""

from collections.abc import Mapping
from typing import Any

import aiohttp

from botfleet_simulator.client.views import Fault

ANSWER_SECONDS = 30.0
WAIT_SECONDS = 60.0
"""What is waited for for longer does not come: a bot's process may have to start first, on a machine with other work to do."""
Times = int | None


class AdminError(Exception):
    """The admin port refused a call."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class _Unset:
    """Stands for an argument that was not given, where None has a meaning."""


UNSET = _Unset()


def given(**values: Any) -> dict[str, Any]:
    """The arguments that were given."""
    return {name: value for name, value in values.items() if value is not UNSET and value is not None}


class AdminClient:
    """The base of both clients."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    async def call(
        self, verb: str, path: str, *, body: Any = None, query: Mapping[str, Any] | None = None, patience: float = 0.0
    ) -> Any:
        """Make a call. `patience`: seconds that a long poll may last. Raises AdminError, TimeoutError, OSError."""
        params = {name: _text(value) for name, value in (query or {}).items() if value is not None}
        if patience:
            params["timeout"] = str(patience)
        timeout = aiohttp.ClientTimeout(total=patience + ANSWER_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(verb, self.url + path, json=body, params=params) as response,
        ):
            data = await response.json() if response.content_type == "application/json" else await response.text()
            if response.status == 408:
                raise TimeoutError(f"{verb} {path} {params}: not within {patience} s; so far: {_shortened(data)}")
            if response.status >= 400:
                raise AdminError(response.status, data["error"] if isinstance(data, dict) else str(data))
            return data

    async def healthy(self) -> bool:
        """Whether the server answers."""
        try:
            return bool(await self.call("GET", "/healthz"))
        except (OSError, aiohttp.ClientError, TimeoutError):
            return False

    # ---- faults
    async def _add_fault(
        self,
        effect: str,
        match: dict[str, str],
        *,
        times: Any,
        skip: int,
        seconds: float | None,
        options: dict[str, Any],
    ) -> Fault:
        body: dict[str, Any] = {"effect": effect, "match": match, "skip": skip, "seconds": seconds, "options": options}
        if times is not UNSET:
            body["times"] = times
        return Fault.of(await self.call("POST", "/faults", body=body))

    async def faults(self) -> list[Fault]:
        """All faults, spent ones too."""
        return [Fault.of(item) for item in await self.call("GET", "/faults")]

    async def fault(self, fault_id: int) -> Fault:
        """One fault."""
        return Fault.of(await self.call("GET", f"/faults/{fault_id}"))

    async def wait_fault(self, fault_id: int, *, hits: int = 1, timeout: float = WAIT_SECONDS) -> Fault:
        """Wait until a fault has met so many calls. Raises TimeoutError."""
        return Fault.of(await self.call("GET", f"/wait/faults/{fault_id}", query={"hits": hits}, patience=timeout))

    async def remove_fault(self, fault_id: int) -> None:
        """Switch a fault off; what it holds is let go."""
        await self.call("DELETE", f"/faults/{fault_id}")

    async def clear_faults(self) -> None:
        """Switch all faults off."""
        await self.call("DELETE", "/faults")

    async def release(self, fault_id: int) -> None:
        """Let go what a fault holds."""
        await self.call("POST", f"/faults/{fault_id}/release")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shortened(data: Any) -> str:
    text = str(data)
    return text if len(text) < 500 else f"{text[:500]}…"
