"""2FA passwords: the server's half of SRP as https://core.telegram.org/api/srp describes it.

It must never see a password except when one is set through the admin API.
"""

import os
import secrets
from hashlib import sha256
from typing import Any

from telethon import password as client_half
from telethon.tl import types

from botfleet_simulator.telegram.domain import Password
from botfleet_simulator.telegram.handshake import GENERATOR, PRIME

_P = PRIME.to_bytes(256, "big")
_G = GENERATOR.to_bytes(256, "big")
_K = int.from_bytes(sha256(_P + _G).digest(), "big")


def make(plain: str) -> Password:
    """What is kept of a new password."""
    kept = Password(salt1=os.urandom(8) + b"botfleet", salt2=os.urandom(16), verifier=0)
    x = int.from_bytes(client_half.compute_hash(algorithm(kept), plain), "big")
    kept.verifier = pow(GENERATOR, x, PRIME)
    return kept


def algorithm(password: Password) -> Any:
    """How a client has to hash the password."""
    kind = types.PasswordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow
    return kind(password.salt1, password.salt2, GENERATOR, _P)


def challenge(password: Password) -> tuple[int, bytes]:
    """A secret to keep and the B to send."""
    secret = secrets.randbits(2048)
    public = (_K * password.verifier + pow(GENERATOR, secret, PRIME)) % PRIME
    return secret, public.to_bytes(256, "big")


def proves(password: Password, secret: int, given: Any) -> bool:
    """Whether a client's A and M1 show that it knows the password."""
    client_public = int.from_bytes(given.A, "big")
    if not 1 < client_public < PRIME - 1:
        return False
    b_bytes = ((_K * password.verifier + pow(GENERATOR, secret, PRIME)) % PRIME).to_bytes(256, "big")
    a_bytes = client_public.to_bytes(256, "big")
    u = int.from_bytes(sha256(a_bytes + b_bytes).digest(), "big")
    shared = pow(client_public * pow(password.verifier, u, PRIME), secret, PRIME)
    key = sha256(shared.to_bytes(256, "big")).digest()
    mixed = bytes(x ^ y for x, y in zip(sha256(_P).digest(), sha256(_G).digest(), strict=True))
    parts = (mixed, sha256(password.salt1).digest(), sha256(password.salt2).digest(), a_bytes, b_bytes, key)
    return secrets.compare_digest(sha256(b"".join(parts)).digest(), given.M1)
