"""One TCP connection: packets in, packets out, the handshake, and MTProto's own service messages.

Requests of the API go to the server's dispatcher; it must never know what a method does.
"""

import asyncio
import struct
import time
from typing import TYPE_CHECKING, Any

from telethon.errors import TypeNotFoundError
from telethon.tl import functions, types

from botfleet_simulator import log
from botfleet_simulator.telegram import envelope, transport
from botfleet_simulator.telegram.handshake import Handshake
from botfleet_simulator.telegram.session import FORGET, KeyRecord, Session, clock_error

if TYPE_CHECKING:
    from botfleet_simulator.telegram.server import Server

WRITE_LIMIT = 64 * 1024 * 1024
NOT_FOUND = struct.pack("<i", -404)
_SILENT = (types.MsgsAck, types.MsgsStateInfo, types.MsgsAllInfo)
_log = log.get("connection")


class Connection(asyncio.Protocol):
    """A client's connection."""

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.number = server.next_connection_number()
        self.opened = time.time()
        self.key: KeyRecord | None = None
        self.session: Session | None = None
        self.mute = False
        self._transport: asyncio.Transport | None = None
        self._codec: transport.Codec | None = None
        self._buffer = bytearray()
        self._handshake: Handshake | None = None
        self._outgoing: list[tuple[int, int, bytes]] = []

    # ---- asyncio
    def connection_made(self, made: asyncio.BaseTransport) -> None:
        """A client has come."""
        self._transport = made  # type: ignore[assignment]
        if not self.server.admit(self):
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or was cut."""
        self.server.forget(self)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self.mute:
            return
        self._buffer += data
        try:
            if self._codec is None:
                self._codec = transport.detect(self._buffer)
            while self._codec is not None and (packet := self._codec.feed(self._buffer)) is not None:
                self._on_packet(packet)
        except ConnectionError as error:
            _log.info("connection.refused", connection=self.number, reason=str(error))
            self.cut()

    def cut(self) -> None:
        """End the connection now, without a word."""
        self._outgoing.clear()
        if self._transport is not None:
            self._transport.abort()

    @property
    def receiving(self) -> bool:
        """Whether updates may be pushed here: it has made a call that was not marked `invokeWithoutUpdates`."""
        return self.session is not None and self.session.receiving

    # ---- in
    def _on_packet(self, packet: bytes) -> None:
        if len(packet) < 8:
            raise envelope.EnvelopeError("a packet without a key")
        (key_id,) = struct.unpack_from("<Q", packet)
        if key_id == 0:
            self._on_plain(packet)
            return
        record = self.server.keys.get(key_id)
        if record is None or record.error == FORGET or self.server.forgets(record):
            self._write(NOT_FOUND)
            if self._transport is not None:
                self._transport.close()
            return
        self._on_message(record, envelope.open_packet(record.key, packet))

    def _on_plain(self, packet: bytes) -> None:
        if self._handshake is None:
            self._handshake = Handshake(self.server.server_key)
        answer, key = self._handshake.step(packet[20:])
        if key is not None:
            self._handshake = None
            self.server.add_key(key)
            self.server.storage.commit()
        body = bytes(answer)
        message_id = (int(time.time() * 2**32) & ~3) | 1
        self._write(struct.pack("<qqi", 0, message_id, len(body)) + body)

    def _on_message(self, record: KeyRecord, message: envelope.Inbound) -> None:
        session = record.session(message.session_id)
        if self.session is not session or self.key is not record:
            self.key, self.session = record, session
            self.server.attach(self)
        if message.salt != record.salt or self.server.distrusts_salt(record):
            bad = types.BadServerSalt(message.message_id, message.seq, 48, record.salt)
            self.send(bytes(bad), content=False)
            return
        if (code := clock_error(message.message_id)) is not None:
            self.send(bytes(types.BadMsgNotification(message.message_id, message.seq, code)), content=False)
            return
        if not session.announced:
            session.announced = True
            self.send(bytes(types.NewSessionCreated(message.message_id, session.id, record.salt)), answer=False)
        for message_id, _, item in envelope.unpack(message.message_id, message.seq, message.body):
            if self.session is session:
                self._on_object(message_id, item)

    def _on_object(self, message_id: int, item: Any) -> None:
        if isinstance(item, _SILENT) or self.session is None:
            return
        if not self.session.first_time(message_id):
            self.send(bytes(types.MsgsAck([message_id])), content=False)
            return
        if isinstance(item, functions.PingRequest | functions.PingDelayDisconnectRequest):
            self.send(bytes(types.Pong(message_id, item.ping_id)), content=False)
        elif isinstance(item, functions.GetFutureSaltsRequest):
            self._future_salts(message_id)
        elif isinstance(item, functions.DestroySessionRequest):
            self._destroy_session(item.session_id)
        elif isinstance(item, types.MsgsStateReq | types.MsgResendReq):
            info = types.MsgsStateInfo(message_id, chr(1) * len(item.msg_ids))
            self.send(bytes(info), content=False)
        elif isinstance(item, TypeNotFoundError):
            self.answer_error(message_id, 400, "INPUT_METHOD_INVALID")
        else:
            self.server.dispatcher.request(self, message_id, item)

    def _future_salts(self, message_id: int) -> None:
        now = int(time.time())
        salt = self.key.salt if self.key else 0
        self.send(bytes(types.FutureSalts(message_id, now, [types.FutureSalt(now, now + 86_400, salt)])), content=False)

    def _destroy_session(self, session_id: int) -> None:
        known = self.key is not None and self.key.sessions.pop(session_id, None) is not None
        made = types.DestroySessionOk if known else types.DestroySessionNone
        self.send(bytes(made(session_id)), content=False)

    # ---- out
    def send(self, body: bytes, *, answer: bool = True, content: bool = True) -> None:
        """Queue a message; all that one turn of the loop queues leaves together, after the state was committed."""
        if self.session is None:
            return
        message_id = self.session.next_id(answer=answer)
        self._outgoing.append((message_id, self.session.next_seq(content=content), body))
        self.server.needs_flush(self)

    def answer(self, request_id: int, body: bytes) -> None:
        """Answer a request."""
        self.send(envelope.pack_result(request_id, body))

    def answer_error(self, request_id: int, code: int, message: str) -> None:
        """Answer a request with an error."""
        self.answer(request_id, bytes(types.RpcError(code, message)))

    def flush(self) -> None:
        """Send what is queued."""
        queued, self._outgoing = self._outgoing, []
        session = self.session
        if not queued or self.key is None or session is None or self._transport is None or self._transport.is_closing():
            return
        if len(queued) == 1:
            message_id, seq, body = queued[0]
        else:
            message_id, seq = session.next_id(answer=True), session.next_seq(content=False)
            body = envelope.pack_container(queued)
        self._write(
            envelope.close_packet(self.key.key, self.key.salt, session.id, message_id=message_id, seq=seq, body=body)
        )

    def _write(self, payload: bytes) -> None:
        if self._codec is None or self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > WRITE_LIMIT:
            _log.warning("connection.too_slow", connection=self.number)
            self.cut()
            return
        self._transport.write(self._codec.encode(payload))
