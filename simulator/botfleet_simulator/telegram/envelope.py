"""MTProto 2.0 as a server does it: opening and closing encrypted packets, containers, gzip (core.telegram.org/mtproto/description).

Bytes in, bytes out; it must never know what a message means.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, NamedTuple

from telethon.crypto import AES
from telethon.errors import TypeNotFoundError
from telethon.extensions import BinaryReader
from telethon.network.mtprotostate import MTProtoState

CONTAINER = 0x73F1F8DC
GZIP_PACKED = 0x3072CFA1
RPC_RESULT = 0xF35C6D01
GZIP_ABOVE = 4096
UNPACKED_LIMIT = 16 * 1024 * 1024


class EnvelopeError(ConnectionError):
    """A packet that no client with this key has made."""


class Inbound(NamedTuple):
    """One encrypted packet, opened."""

    salt: int
    session_id: int
    message_id: int
    seq: int
    body: bytes


def open_packet(key: Any, packet: bytes) -> Inbound:
    """Decrypt what a client sent. Raises EnvelopeError."""
    if len(packet) < 24 + 48 or (len(packet) - 24) % 16:
        packet = packet[: len(packet) - (len(packet) - 24) % 16]
    message_key = packet[8:24]
    data = AES.decrypt_ige(packet[24:], *MTProtoState._calc_key(key.key, message_key, True))
    if len(data) < 32 or sha256(key.key[88:120] + data).digest()[8:24] != message_key:
        raise EnvelopeError("the message key is wrong")
    salt, session_id, message_id, seq, length = struct.unpack_from("<qqqii", data)
    if not 0 <= length <= len(data) - 32:
        raise EnvelopeError("the length is wrong")
    return Inbound(salt, session_id, message_id, seq, data[32 : 32 + length])


def close_packet(key: Any, salt: int, session_id: int, *, message_id: int, seq: int, body: bytes) -> bytes:
    """Encrypt what the server sends."""
    data = struct.pack("<qqqii", salt, session_id, message_id, seq, len(body)) + body
    data += os.urandom(-(len(data) + 12) % 16 + 12)
    message_key = sha256(key.key[96:128] + data).digest()[8:24]
    cipher: bytes = AES.encrypt_ige(data, *MTProtoState._calc_key(key.key, message_key, False))
    return struct.pack("<Q", key.key_id) + message_key + cipher


def pack_container(messages: list[tuple[int, int, bytes]]) -> bytes:
    """Several messages (id, seq, body) as one."""
    parts = [struct.pack("<Ii", CONTAINER, len(messages))]
    for message_id, seq, body in messages:
        parts.append(struct.pack("<qii", message_id, seq, len(body)))
        parts.append(body)
    return b"".join(parts)


def pack_result(request_id: int, body: bytes) -> bytes:
    """The answer to a request, compressed when it is long."""
    if len(body) > GZIP_ABOVE:
        packed = zlib.compress(body, 1, 31)
        if len(packed) < len(body):
            body = struct.pack("<I", GZIP_PACKED) + serialize_bytes(packed)
    return struct.pack("<Iq", RPC_RESULT, request_id) + body


def unpack(message_id: int, seq: int, body: bytes) -> Iterator[tuple[int, int, Any]]:
    """The objects in a message: (id, seq, object), containers and gzip opened. Raises EnvelopeError."""
    if len(body) < 4:
        raise EnvelopeError("an empty message")
    (constructor,) = struct.unpack_from("<I", body)
    if constructor == CONTAINER:
        yield from _unpack_container(body)
        return
    try:
        if constructor == GZIP_PACKED:
            with BinaryReader(body[4:]) as reader:
                opener = zlib.decompressobj(31)
                inner = opener.decompress(reader.tgread_bytes(), UNPACKED_LIMIT)
            yield from unpack(message_id, seq, inner)
            return
        with BinaryReader(body) as reader:
            yield message_id, seq, reader.tgread_object()
    except TypeNotFoundError as error:
        yield message_id, seq, error
    except (struct.error, BufferError, UnicodeDecodeError, zlib.error) as error:
        raise EnvelopeError(f"not TL: {error}") from error


def serialize_bytes(data: bytes) -> bytes:
    """TL's `bytes`: a length, the data, padding."""
    head = bytes((len(data),)) if len(data) < 254 else b"\xfe" + len(data).to_bytes(3, "little")
    return head + data + bytes(-(len(head) + len(data)) % 4)


def vector(items: list[Any]) -> bytes:
    """A bare answer of type Vector."""
    return struct.pack("<Ii", 0x1CB5C415, len(items)) + b"".join(bytes(item) for item in items)


def _unpack_container(body: bytes) -> Iterator[tuple[int, int, Any]]:
    try:
        (count,) = struct.unpack_from("<i", body, 4)
        offset = 8
        for _ in range(count):
            message_id, seq, length = struct.unpack_from("<qii", body, offset)
            if not 0 < length <= len(body) - offset - 16:
                raise EnvelopeError("a container's length is wrong")
            yield from unpack(message_id, seq, body[offset + 16 : offset + 16 + length])
            offset += 16 + length
    except struct.error as error:
        raise EnvelopeError("a container is cut off") from error
