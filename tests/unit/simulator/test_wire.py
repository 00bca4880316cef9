"""Bytes on the wire: transports, packets, containers, the handshake and SRP, each against Telethon's own half."""

import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telethon import password as client_half
from telethon.crypto import AuthKey
from telethon.network.mtprotostate import MTProtoState
from telethon.tl import functions, types

from botfleet_simulator.telegram import envelope, keyfile, session, srp, transport
from botfleet_simulator.telegram.handshake import SMALL_PRIMES, Handshake, HandshakeError

KEY = AuthKey(bytes(range(256)))


class Loggers(dict):
    def __missing__(self, key):
        import logging

        return logging.getLogger(key)


@given(
    st.lists(st.binary(min_size=8, max_size=600).map(lambda b: b[: len(b) // 4 * 4]), min_size=1, max_size=5), st.data()
)
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("tag", [b"", b"\xef", b"\xee" * 4, b"\xdd" * 4])
def test_packets_survive_any_cutting_of_the_stream(tag: bytes, packets: list[bytes], data):
    makers: dict[bytes, Callable[[], transport.Codec]] = {b"": transport.Full, b"\xef": transport.Abridged}
    encoder = makers.get(tag, lambda: transport.Intermediate(padded=False))()
    stream = tag + b"".join(encoder.encode(packet) for packet in packets)
    buffer, codec, got = bytearray(), None, []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        buffer += stream[:size]
        stream = stream[size:]
        codec = codec or transport.detect(buffer)
        while codec is not None and (packet := codec.feed(buffer)) is not None:
            got.append(packet)
    assert got == packets


def test_broken_streams_are_refused():
    whole = bytearray(transport.Full().encode(b"12345678"))
    whole[-1] ^= 1
    with pytest.raises(transport.TransportError, match="checksum"):
        transport.Full().feed(whole)
    with pytest.raises(transport.TransportError):
        transport.Full().feed(bytearray(struct.pack("<i", 1 << 30)))
    with pytest.raises(transport.TransportError, match="unknown transport"):
        transport.detect(bytearray(b"GET / HTTP/1.1\r\n"))


@given(st.binary(min_size=4, max_size=300).map(lambda b: b[: len(b) // 4 * 4]))
def test_what_telethon_encrypts_is_opened(body: bytes):
    state = MTProtoState(KEY, Loggers())
    state.salt = 77
    data = struct.pack("<qii", 4 << 32, 1, len(body)) + body
    opened = envelope.open_packet(KEY, state.encrypt_message_data(data))
    assert (opened.salt, opened.session_id, opened.message_id, opened.seq, opened.body) == (
        77,
        state.id,
        4 << 32,
        1,
        body,
    )


def test_what_is_closed_telethon_opens():
    state = MTProtoState(KEY, Loggers())
    message_id = (int(time.time()) << 32) | 1
    pong = bytes(types.Pong(5, 6))
    packet = envelope.close_packet(KEY, 1, state.id, message_id=message_id, seq=1, body=pong)
    assert state.decrypt_message_data(packet).obj.ping_id == 6


def test_a_packet_of_another_key_or_changed_on_the_way_is_refused():
    state = MTProtoState(AuthKey(bytes(reversed(range(256)))), Loggers())
    ping = bytes(functions.PingRequest(1))
    packet = state.encrypt_message_data(struct.pack("<qii", 4, 1, len(ping)) + ping)
    with pytest.raises(envelope.EnvelopeError):
        envelope.open_packet(KEY, packet)
    with pytest.raises(envelope.EnvelopeError):
        envelope.open_packet(KEY, packet[:30])


def test_containers_and_gzip_are_opened_and_unknown_objects_said():
    ping = bytes(functions.PingRequest(9))
    packed = struct.pack("<I", envelope.GZIP_PACKED) + envelope.serialize_bytes(zlib.compress(ping, wbits=31))
    unknown = struct.pack("<I", 0x12345678)
    body = envelope.pack_container([(4, 1, ping), (8, 3, packed), (12, 5, unknown)])
    found = list(envelope.unpack(16, 7, body))
    assert [message_id for message_id, _, _ in found] == [4, 8, 12]
    assert [getattr(item, "ping_id", None) for _, _, item in found] == [9, 9, None]
    for broken in (b"", struct.pack("<Ii", envelope.CONTAINER, 3), body[:-3], ping[:6]):
        with pytest.raises(envelope.EnvelopeError):
            list(envelope.unpack(16, 7, broken))


def test_long_answers_are_compressed():
    assert len(envelope.pack_result(1, b"x" * 10_000)) < 1000
    assert envelope.pack_result(1, b"abcd").endswith(b"abcd")


@pytest.mark.parametrize("size", [0, 1, 253, 254, 70_000])
def test_bytes_are_written_as_tl_does(size: int):
    from telethon.tl import TLObject

    assert envelope.serialize_bytes(b"x" * size) == TLObject.serialize_bytes(b"x" * size)


def test_message_ids_and_clocks():
    made = session.Session(1)
    ids = [made.next_id(answer=True) for _ in range(100)]
    assert ids == sorted(set(ids))
    assert all(i % 4 == 1 for i in ids)
    assert made.next_id(answer=False) % 4 == 3
    assert [made.next_seq(content=c) for c in (True, False, True)] == [1, 2, 3]
    now = int(time.time()) << 32
    assert session.clock_error(now) is None
    assert session.clock_error(now - (400 << 32)) == 16
    assert session.clock_error(now + (60 << 32)) == 17
    assert session.clock_error(now + 1) == 18
    assert made.first_time(4)
    assert not made.first_time(4)


def test_keys_remember_a_bounded_number_of_sessions():
    record = session.KeyRecord(KEY, created=1)
    first = record.session(0)
    assert record.session(0) is first
    for number in range(1, 60):
        record.session(number)
    assert len(record.sessions) == session.SESSIONS_A_KEY
    again = session.KeyRecord.from_document(record.to_document())
    assert (again.key.key_id, again.salt) == (KEY.key_id, record.salt)


def test_the_handshake_refuses_what_is_out_of_order(tmp_path: Path):
    keyfile.generate(tmp_path / "key.pem")
    key = keyfile.load(tmp_path / "key.pem")
    assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0
    handshake = Handshake(key)
    answer, made = handshake.step(bytes(functions.ReqPqMultiRequest(5)))
    assert made is None
    assert answer.server_public_key_fingerprints == [key.fingerprint]
    assert int.from_bytes(answer.pq, "big") == SMALL_PRIMES[0] * SMALL_PRIMES[1]
    assert answer.pq[0] < 0x80
    with pytest.raises(HandshakeError):
        handshake.step(bytes(functions.SetClientDHParamsRequest(5, 6, b"x" * 16)))
    for nonsense in (b"", b"1234", bytes(functions.PingRequest(1))):
        with pytest.raises(HandshakeError):
            handshake.step(nonsense)


def test_only_rsa_keys_of_2048_bits_are_taken(tmp_path: Path):
    path = tmp_path / "key.pem"
    path.write_text("no key")
    with pytest.raises(keyfile.KeyFileError):
        keyfile.load(path)


def test_srp_agrees_with_telethons_half():
    kept = srp.make("correct horse")
    secret, public = srp.challenge(kept)
    question = types.account.Password(None, None, b"", current_algo=srp.algorithm(kept), srp_B=public, srp_id=1)
    assert srp.proves(kept, secret, client_half.compute_check(question, "correct horse"))
    assert not srp.proves(kept, secret, client_half.compute_check(question, "wrong"))
    assert not srp.proves(kept, secret, types.InputCheckPasswordSRP(1, b"\x01", b""))
