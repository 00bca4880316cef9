"""Why: on a cluster a bot's events go to its own Redis Stream, under its own prefix, with its own user.

Commands are those that the bot's ACL allows: XADD (and what a connection needs), nothing that looks at other keys.
"""

import json
from collections.abc import Sequence
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from botfleet.bus.address import check_database
from botfleet.bus.port import BusUnavailable
from botfleet.store.events import Event

DEFAULT_LENGTH = 10_000
_TIMEOUT = 5.0

# As redis-py types a stream's fields.
_Encodable = bytes | bytearray | memoryview | str | int | float


class StreamBus:
    """A Redis Stream that keeps about the last `length` events. PostgreSQL is the source for replay, not the stream."""

    def __init__(
        self, url: str, password: str | None, prefix: str, *, length: int = DEFAULT_LENGTH, timeout: float = _TIMEOUT
    ) -> None:
        """Connects at the first event.

        Args:
            url: `redis://user@host:port/0`, without a password.
            password: from a mounted file.
            prefix: of the bot's keys, with a colon at its end.
            length: events kept, about.
            timeout: seconds to connect, and for an answer.

        Raises:
            ValueError: the URL holds a password, or names another database than 0.
        """
        parts = urlsplit(url)
        if parts.password is not None:
            raise ValueError("the Redis URL holds a password; put it into a file of its own")
        check_database(url)
        self.stream = f"{prefix}events"
        self._length = length
        self._redis: Redis = Redis.from_url(
            url,
            password=password,
            protocol=2,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            # The relay tries again, with longer and longer waits.
            retry=Retry(NoBackoff(), 0),
            client_name="botfleet-relay",
        )

    async def publish(self, events: Sequence[Event]) -> None:
        """See `Bus`. One round trip; no transaction, which the bot's user may not begin."""
        pipeline = self._redis.pipeline(transaction=False)
        for event in events:
            fields: dict[_Encodable, _Encodable] = {
                "id": event.id,
                "type": event.type,
                "time": event.time.isoformat(),
                "data": json.dumps(event.data, separators=(",", ":"), sort_keys=True),
            }
            pipeline.xadd(self.stream, fields, maxlen=self._length, approximate=True)
        try:
            await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            # Also when the user is unknown: a Redis that came back empty gets its users from the operator.
            raise BusUnavailable(f"Redis: {type(error).__name__}") from None

    async def close(self) -> None:
        """Close the connection."""
        await self._redis.aclose()
