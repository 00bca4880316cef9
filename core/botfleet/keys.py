"""Why: generated credentials are derived, so that repair restores the same ones and is never a silent rotation.

Source of the construction: RFC 5869 (HKDF) and AES-256-GCM by the `cryptography` package. It never stores or logs a key.
"""

import base64
import hashlib
import os
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
_NONCE_BYTES = 12


class Purpose(StrEnum):
    """What a derived credential is for; part of the derivation, so it never changes its spelling."""

    DATABASE_PASSWORD = "database-password"
    REDIS_PASSWORD = "redis-password"
    SESSION_KEY = "session-key"
    TOMBSTONE = "tombstone"


class UnsealError(ValueError):
    """The box was not sealed with this key and context, or was changed."""


def new_installation_key() -> bytes:
    """A fresh installation key: 32 random bytes."""
    return os.urandom(KEY_BYTES)


def derive(installation_key: bytes, bot_id: str, purpose: Purpose, generation: int) -> bytes:
    """32 bytes for one bot, purpose and generation; the same arguments always give the same bytes."""
    if len(installation_key) < KEY_BYTES:
        raise ValueError(f"the installation key must have at least {KEY_BYTES} bytes")
    info = f"botfleet/{purpose.value}/{bot_id}/{generation}".encode()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(installation_key)


def password(installation_key: bytes, bot_id: str, purpose: Purpose, generation: int) -> str:
    """A derived credential as text: 43 URL-safe characters."""
    return base64.urlsafe_b64encode(derive(installation_key, bot_id, purpose, generation)).decode().rstrip("=")


def fingerprint(secret: bytes) -> str:
    """What may be stored to recognise a high-entropy secret again: sha256 in hex, under a fixed prefix."""
    return hashlib.sha256(b"botfleet/fingerprint/" + secret).hexdigest()


class Sealer:
    """Encrypts small values at rest (a Telegram session). The context binds a box to its place, so boxes cannot be swapped."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, plain: bytes, context: str) -> bytes:
        """Nonce and ciphertext."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plain, context.encode())

    def open(self, box: bytes, context: str) -> bytes:
        """The plain value.

        Raises:
            UnsealError: another key, another context, or damaged.
        """
        try:
            return self._aead.decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], context.encode())
        except (InvalidTag, ValueError) as error:
            raise UnsealError("cannot be decrypted with this key") from error
