"""Why: an endpoint may send whatever it likes; what is held of it in memory has a bound, whatever it says of its length."""

import functools
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2 as httpx

MOST_BYTES = 4 * 2**20
"""Of one HTTP body. The longest answer that is used has 40,000 characters; the rest is room for reasoning and metadata."""

IDENTITY = {"Accept-Encoding": "identity"}
"""Asked for: a few packed kilobytes would unpack to gigabytes after they were counted."""


class TooMuchError(ValueError):
    """The body is longer than what is held, or packed."""


async def bound(response: "httpx.Response") -> None:
    """A hook of an HTTP client: from here on the body ends with an error at the bound."""
    import httpx2 as httpx

    if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise TooMuchError("a packed body, although none was asked for")
    body = response.stream
    assert isinstance(body, httpx.AsyncByteStream)  # noqa: S101 -- an asynchronous client has no other
    response.stream = _bounded()(body)


@functools.cache
def _bounded() -> "Callable[[httpx.AsyncByteStream], httpx.AsyncByteStream]":
    import httpx2 as httpx

    class Bounded(httpx.AsyncByteStream):
        """Counts what goes through."""

        def __init__(self, body: httpx.AsyncByteStream) -> None:
            self._body = body

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in self._body:
                size += len(chunk)
                if size > MOST_BYTES:
                    raise TooMuchError(f"more than {MOST_BYTES} bytes")
                yield chunk

        async def aclose(self) -> None:
            await self._body.aclose()

    return Bounded
