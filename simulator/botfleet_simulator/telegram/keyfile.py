"""The server's RSA key: made once, kept in the state folder, its public half given to clients as PKCS#1 PEM.

It must never give the private half to anybody.
"""

import hashlib
import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from telethon.crypto.rsa import get_byte_array
from telethon.tl import TLObject


class KeyFileError(ValueError):
    """The file holds no RSA key of 2048 bits."""


class ServerKey:
    """An RSA key of 2048 bits as MTProto uses it."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        numbers = key.private_numbers()
        public = numbers.public_numbers
        self._p, self._q = numbers.p, numbers.q
        self._dp, self._dq, self._inverse = numbers.dmp1, numbers.dmq1, numbers.iqmp
        self.public_pem = (
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1).decode()
        )
        data = TLObject.serialize_bytes(get_byte_array(public.n)) + TLObject.serialize_bytes(get_byte_array(public.e))
        self.fingerprint = int.from_bytes(hashlib.sha1(data).digest()[-8:], "little", signed=True)  # noqa: S324 - MTProto's

    def decrypt(self, data: bytes) -> bytes:
        """Raw RSA, no padding: 255 bytes."""
        number = int.from_bytes(data, "big")
        first, second = pow(number, self._dp, self._p), pow(number, self._dq, self._q)
        plain = second + (first - second) * self._inverse % self._p * self._q
        return plain.to_bytes(256, "big")[1:]


def generate(path: Path) -> None:
    """Write a new private key, readable by its owner alone."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)
    part.replace(path)


def load(path: Path) -> ServerKey:
    """The key of a file. Raises KeyFileError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise KeyFileError(f"{path}: no private key in PEM form without a password") from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size != 2048:
        raise KeyFileError(f"{path}: not an RSA key of 2048 bits")
    return ServerKey(key)
