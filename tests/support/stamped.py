"""What a program writes, each line with the moment at which it wrote it: the kernel's word, however late somebody reads it."""

import socket
import struct
import threading
import time

_SO_TIMESTAMP = 29  # asm-generic/socket.h: x86 and ARM
_TIMEVAL = struct.Struct("@ll")
_MOST_BYTES = 1 << 20


class StampedLines:
    """For one output of one program: `end` is the descriptor that it gets, to be closed here once it runs."""

    def __init__(self) -> None:
        # Of a pipe's bytes nobody knows when they were written. A reader that got the processor late would count that too.
        self._reading, writing = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.end = writing.detach()
        self._reading.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMP, 1)
        self.lines: list[tuple[float, str]] = []
        """Seconds by the wall clock, and the line."""

    def read(self) -> None:
        """Until nobody can write any more."""
        with self._reading:
            begun = b""
            while True:
                data, told, _, _ = self._reading.recvmsg(_MOST_BYTES, socket.CMSG_SPACE(_TIMEVAL.size))
                moment = time.time()
                for level, kind, stamp in told:
                    if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMP):
                        seconds, microseconds = _TIMEVAL.unpack(stamp)
                        moment = seconds + microseconds / 1e6
                *whole, begun = (begun + data).split(b"\n")
                self.lines.extend((moment, f"{line.decode()}\n") for line in whole)
                if not data:
                    if begun:
                        self.lines.append((moment, begun.decode()))
                    return

    def start(self) -> threading.Thread:
        """`read` in a thread of its own."""
        thread = threading.Thread(target=self.read, daemon=True)
        thread.start()
        return thread
