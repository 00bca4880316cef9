"""Why: a Telegram session used twice at once is revoked for good, and a blocked event loop cannot close its own sockets.

So a thread does. It only ever shuts sockets down; nothing here opens one, and a cut-off that has cut never lets through again.
"""

import contextlib
import os
import socket
import threading
from typing import Any

import structlog

from botrunner.ownership.clock import LeaseClock

_log = structlog.get_logger(__name__)

_KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 20_000))


class LeaseOverError(ConnectionError):
    """Telegram may not be used any more under this lease. An OSError, because that is what Telethon takes for a lost link."""


class Gate:
    """One registered socket: a descriptor of our own for it, so that the number cannot be reused under the thread."""

    def __init__(self, cutoff: "CutOff", fileno: int) -> None:
        self._cutoff = cutoff
        self._socket: socket.socket | None = socket.socket(fileno=os.dup(fileno))
        self._lock = threading.Lock()

    def shut(self) -> None:
        """Shut the connection down, both ways. Any thread may call it, any number of times."""
        with self._lock:
            if self._socket is not None:
                with contextlib.suppress(OSError):  # the peer was quicker: it is down already
                    self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the descriptor back; without this the peer would not see the connection's end."""
        self._cutoff.forget(self)
        self.shut()
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None


class CutOff:
    """Watches the clock of one lease from a thread, and shuts every Telegram socket down when its time is over.

    A new lease has a new clock and a new cut-off.
    """

    def __init__(self, clock: LeaseClock) -> None:
        self.clock = clock
        self._changed = threading.Condition()
        self._gates: set[Gate] = set()
        self._stopped = False
        self._thread = threading.Thread(target=self._watch, name="lease-cut-off", daemon=True)
        self._thread.start()

    def may_act(self) -> bool:
        """Whether Telegram may be used now."""
        return self.clock.may_act()

    def require(self) -> None:
        """Raises:
        LeaseOverError: Telegram may not be used any more.
        """
        if not self.clock.may_act():
            raise LeaseOverError("the lease is over: nothing goes to Telegram")

    def register(self, fileno: int) -> Gate:
        """From now on this connection ends with the lease. The caller closes the gate together with its socket.

        Raises:
            LeaseOverError: it is over already; the connection was shut down.
        """
        gate = Gate(self, fileno)
        with self._changed:
            self._gates.add(gate)
        # The thread may have passed just before: whoever registers looks again.
        if not self.clock.may_act():
            gate.close()
            raise LeaseOverError("the lease is over: nothing goes to Telegram")
        return gate

    def forget(self, gate: Gate) -> None:
        """The gate's owner has closed it."""
        with self._changed:
            self._gates.discard(gate)

    def cut(self) -> None:
        """The lease is over now, whatever the clock says: shut everything down."""
        self.clock.end()
        with self._changed:
            self._changed.notify_all()
        self._shut_all()

    def close(self) -> None:
        """Cut, and end the thread."""
        with self._changed:
            self._stopped = True
        self.cut()
        self._thread.join(timeout=5)

    def connection_class(self) -> Any:
        """A Telethon `Connection` class which registers its sockets here, and neither connects nor sends past the limit.

        Given to a client it also serves Telethon's own reconnects and borrowed senders.
        """
        from botrunner.telegram.transport import guarded_connection  # Telethon is heavy, and not needed for the lease

        return guarded_connection(self)

    def _watch(self) -> None:
        with self._changed:
            while not self._stopped:
                remaining = self.clock.remaining()
                if remaining <= 0:
                    break
                self._changed.wait(remaining)
        self._shut_all()

    def _shut_all(self) -> None:
        with self._changed:
            gates = list(self._gates)
        for gate in gates:
            gate.shut()
        if gates:
            _log.warning("telegram.cut_off", connections=len(gates))


def keep_alive(connection: socket.socket) -> None:
    """Notice a dead network within about 30 s; Telethon's own ping takes up to two minutes (it pings once a minute)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
