"""Why: every byte to Telegram passes the lease's clock. Telethon reconnects by itself, so the connection has to refuse.

Private parts of Telethon that are used: Connection._connect, _send, _writer (tests/integration/botrunner/telegram/contract).
"""

import os
import socket
from typing import Any

from telethon.network.connection import ConnectionTcpFull

from botrunner.ownership.cutoff import CutOff, Gate, keep_alive


def guarded_connection(guard: CutOff) -> type[Any]:
    """The class to give to a client as `connection`."""

    class GuardedConnection(ConnectionTcpFull):  # type: ignore[misc]
        """TCP in Telegram's full mode, which ends with the lease."""

        _gate: Gate | None = None

        async def _connect(self, timeout: float | None = None, ssl: Any = None) -> None:
            guard.require()
            await super()._connect(timeout=timeout, ssl=ssl)
            try:
                self._gate = guard.register(self._fileno())
            except OSError:
                self._writer.close()
                raise

        def _fileno(self) -> int:
            # What the loop gives for a socket differs (uvloop's knows no shutdown): the descriptor is what they share.
            fileno: int = self._writer.get_extra_info("socket").fileno()
            with socket.socket(fileno=os.dup(fileno)) as mine:
                keep_alive(mine)
            return fileno

        def _send(self, data: bytes) -> None:
            guard.require()
            super()._send(data)

        async def disconnect(self) -> None:
            gate, self._gate = self._gate, None
            if gate is not None:
                gate.shut()  # what is not written yet is given up, or closing would wait for a peer that does not read
            try:
                await super().disconnect()
            finally:
                if gate is not None:
                    gate.close()

        def __str__(self) -> str:
            return "Telegram"  # Telethon logs it; addresses of servers are nobody's business there

    return GuardedConnection
