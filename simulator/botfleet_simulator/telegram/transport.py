"""MTProto's TCP transports: how packets are cut out of a stream (full, abridged, intermediate, padded intermediate).

See https://core.telegram.org/mtproto/mtproto-transports. It must never look into a packet.
"""

import os
import struct
from typing import Protocol
from zlib import crc32

PACKET_LIMIT = 16 * 1024 * 1024


class TransportError(ConnectionError):
    """The stream is no transport that we know, or is broken."""


class Codec(Protocol):
    """One transport of one connection."""

    def feed(self, buffer: bytearray) -> bytes | None:
        """Cut one packet off the front of the buffer; None when it is not whole yet."""

    def encode(self, payload: bytes) -> bytes:
        """The bytes that carry a packet to the client."""


class Full:
    """Length, sequence number, packet, CRC32: what Telethon uses by default."""

    def __init__(self) -> None:
        self._sent = 0

    def feed(self, buffer: bytearray) -> bytes | None:
        """See Codec."""
        if len(buffer) < 4:
            return None
        (length,) = struct.unpack_from("<i", buffer)
        if not 12 <= length <= PACKET_LIMIT:
            raise TransportError(f"a packet of {length} bytes")
        if len(buffer) < length:
            return None
        packet = bytes(buffer[8 : length - 4])
        (given,) = struct.unpack_from("<I", buffer, length - 4)
        if given != crc32(memoryview(buffer)[: length - 4]):
            raise TransportError("wrong checksum")
        del buffer[:length]
        return packet

    def encode(self, payload: bytes) -> bytes:
        """See Codec."""
        data = struct.pack("<ii", len(payload) + 12, self._sent) + payload
        self._sent += 1
        return data + struct.pack("<I", crc32(data))


class Abridged:
    """A length in words of 4 bytes, in one byte or four."""

    def feed(self, buffer: bytearray) -> bytes | None:
        """See Codec."""
        if not buffer:
            return None
        start, words = 1, buffer[0]
        if words >= 0x7F:
            if len(buffer) < 4:
                return None
            start, words = 4, int.from_bytes(buffer[1:4], "little")
        end = start + words * 4
        if len(buffer) < end:
            return None
        packet = bytes(buffer[start:end])
        del buffer[:end]
        return packet

    def encode(self, payload: bytes) -> bytes:
        """See Codec."""
        words = len(payload) // 4
        head = bytes((words,)) if words < 0x7F else b"\x7f" + words.to_bytes(3, "little")
        return head + payload


class Intermediate:
    """A length in bytes; with `padded`, up to 15 random bytes at the end."""

    def __init__(self, *, padded: bool) -> None:
        self._padded = padded

    def feed(self, buffer: bytearray) -> bytes | None:
        """See Codec."""
        if len(buffer) < 4:
            return None
        (length,) = struct.unpack_from("<i", buffer)
        if not 4 <= length <= PACKET_LIMIT:
            raise TransportError(f"a packet of {length} bytes")
        if len(buffer) < length + 4:
            return None
        packet = bytes(buffer[4 : length + 4])
        del buffer[: length + 4]
        return packet

    def encode(self, payload: bytes) -> bytes:
        """See Codec."""
        if self._padded:
            payload += os.urandom(payload[0] % 16) if len(payload) > 4 else b""
        return struct.pack("<i", len(payload)) + payload


def detect(buffer: bytearray) -> Codec | None:
    """The transport that a client has begun, its tag taken off the buffer; None when more bytes are needed."""
    if not buffer:
        return None
    if buffer[0] == 0xEF:
        del buffer[:1]
        return Abridged()
    if len(buffer) < 8:
        return None
    tag = bytes(buffer[:4])
    if tag in {b"\xee" * 4, b"\xdd" * 4}:
        del buffer[:4]
        return Intermediate(padded=tag[0] == 0xDD)
    if buffer[4:8] == b"\x00\x00\x00\x00":
        return Full()
    raise TransportError("an unknown transport (obfuscated ones are not supported)")
