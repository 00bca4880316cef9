"""The making of an authorization key (https://core.telegram.org/mtproto/auth_key), one step a message.

The Diffie-Hellman numbers are real, the factorisation is a formality. It must never keep a key: it hands it over.
"""

import hashlib
import os
import struct
import time
from typing import Any

from telethon import helpers
from telethon.crypto import AES, AuthKey
from telethon.crypto.rsa import get_byte_array
from telethon.errors import TypeNotFoundError
from telethon.extensions import BinaryReader
from telethon.tl import functions, types

from botfleet_simulator.telegram.keyfile import ServerKey

# Telegram's own prime (https://core.telegram.org/mtproto/auth_key); clients know it and need not test it.
PRIME = int(
    "C71CAEB9C6B1C9048E6C522F70F13F73980D40238E3E21C14934D037563D930F48198A0AA7C14058229493D22530F4DBFA336F6E0AC925139543"
    "AED44CCE7C3720FD51F69458705AC68CD4FE6B6B13ABDC9746512969328454F18FAF8C595F642477FE96BB2A941D5BCD1D4AC8CC49880708FA9B"
    "378E3C4F3A9060BEE67CF9A4A4A695811051907E162753B56B0F6B410DBA74D8A84B2A14B3144E0EF1284754FD17ED950D5965B4B9DD46582DB1"
    "178D169C6BC465B0D6FF9CA3928FEF5B9AE4E418FC15E83EBEA0F87FA9FF5EED70050DED2849F47BF959D956850CE929851F0D8115F635B105EE"
    "2E4E15D04B2454BF6F4FADF034B10403119CD8E3B92FCC5B",
    16,
)
GENERATOR = 3
# Two primes whose product every client factorises at once: nothing is kept secret by it here. The product's first bit is
# 0, since some clients (Telethon) read it as a signed number.
SMALL_PRIMES = (524_287, 1_048_573)

SECRET_BYTES = 32


class HandshakeError(ConnectionError):
    """The client does not keep to the protocol."""


class Handshake:
    """One key exchange on one connection."""

    def __init__(self, server_key: ServerKey) -> None:
        self._server_key = server_key
        self._nonce = 0
        self._server_nonce = int.from_bytes(os.urandom(16), "little", signed=True)
        self._new_nonce = 0
        # A short exponent of full strength: half of a login's time would go into the powers of a long one.
        self._secret = int.from_bytes(os.urandom(SECRET_BYTES), "big")
        self._aes: tuple[bytes, bytes] | None = None

    def step(self, body: bytes) -> tuple[Any, Any]:
        """Answer one message: (the TL object to send, the finished AuthKey or None). Raises HandshakeError."""
        try:
            with BinaryReader(body) as reader:
                request = reader.tgread_object()
            if isinstance(request, functions.ReqPqMultiRequest | functions.ReqPqRequest):
                return self._req_pq(request), None
            if isinstance(request, functions.ReqDHParamsRequest):
                return self._req_dh_params(request), None
            if isinstance(request, functions.SetClientDHParamsRequest):
                return self._set_client_dh_params(request)
        except (TypeNotFoundError, BufferError, ValueError, struct.error, AttributeError) as error:
            raise HandshakeError(f"not understood: {error}") from error
        raise HandshakeError(f"unexpected {type(request).__name__}")

    def _req_pq(self, request: Any) -> Any:
        self._nonce = request.nonce
        product = get_byte_array(SMALL_PRIMES[0] * SMALL_PRIMES[1])
        return types.ResPQ(self._nonce, self._server_nonce, product, [self._server_key.fingerprint])

    def _req_dh_params(self, request: Any) -> Any:
        plain = self._server_key.decrypt(request.encrypted_data)
        with BinaryReader(plain[20:]) as reader:
            inner = reader.tgread_object()
        if hashlib.sha1(bytes(inner)).digest() != plain[:20]:  # noqa: S324 - MTProto's
            raise HandshakeError("the inner data's hash is wrong")
        if (inner.nonce, inner.server_nonce) != (self._nonce, self._server_nonce):
            raise HandshakeError("wrong nonce")
        self._new_nonce = inner.new_nonce
        self._aes = helpers.generate_key_data_from_nonce(self._server_nonce, self._new_nonce)
        answer = bytes(
            types.ServerDHInnerData(
                self._nonce,
                self._server_nonce,
                GENERATOR,
                PRIME.to_bytes(256, "big"),
                pow(GENERATOR, self._secret, PRIME).to_bytes(256, "big"),
                int(time.time()),
            )
        )
        data = hashlib.sha1(answer).digest() + answer  # noqa: S324 - MTProto's
        data += os.urandom(-len(data) % 16)
        return types.ServerDHParamsOk(self._nonce, self._server_nonce, AES.encrypt_ige(data, *self._aes))

    def _set_client_dh_params(self, request: Any) -> tuple[Any, Any]:
        if self._aes is None:
            raise HandshakeError("out of order")
        with BinaryReader(AES.decrypt_ige(request.encrypted_data, *self._aes)[20:]) as reader:
            inner = reader.tgread_object()
        shared = pow(int.from_bytes(inner.g_b, "big"), self._secret, PRIME)
        key = AuthKey(shared.to_bytes(256, "big"))
        answer = types.DhGenOk(self._nonce, self._server_nonce, key.calc_new_nonce_hash(self._new_nonce, 1))
        return answer, key
