"""Why: where the server is, and whose key is trusted. Telethon knows addresses only, so a host name is resolved first."""

import asyncio
import socket

from botfleet.conditions import Reason
from botrunner.telegram.types import RefusedError, Server, TryAgainError

RESOLVE_SECONDS = 5.0


async def resolve(server: Server) -> str:
    """The server's address; IPv4 before IPv6.

    Raises:
        TryAgainError: the name cannot be resolved now.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await loop.getaddrinfo(server.address, server.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        raise TryAgainError(1.0, "NameNotResolved") from error
    addresses = sorted(found, key=lambda entry: entry[0] != socket.AF_INET)
    return str(addresses[0][4][0])


def trust(server: Server) -> None:
    """Take the server's public key for one to agree on keys with, in this process.

    Raises:
        RefusedError: it is no RSA public key.
    """
    if server.public_key is None:
        return
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
    from telethon.crypto import rsa

    try:
        key = load_pem_public_key(server.public_key.strip().encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise RefusedError(Reason.API_CREDENTIALS_INVALID) from error
    if not isinstance(key, RSAPublicKey):
        raise RefusedError(Reason.API_CREDENTIALS_INVALID)
    # Telethon reads PKCS#1 only.
    rsa.add_key(key.public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode(), old=False)
