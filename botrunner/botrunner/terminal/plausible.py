"""Why: a credential that cannot be right is told before anybody is asked, by its form alone. Pure: no file, no network.

Each function takes a value and gives what is wrong with it and what to do, or None. None of them repeats any of the value.
"""

import base64
import binascii
import re
from urllib.parse import urlsplit

from botfleet.digest import bot_account_id

SESSION_LENGTHS = (353, 369)
"""Characters of a StringSession: its version and the base64 of data center, IPv4 or IPv6 address, port and a key of 256 bytes."""

_TOKEN_SECRET = re.compile(r"[A-Za-z0-9_-]+")
_SHORTEST_SECRET = 30  # all that were seen have 34 or 35 characters; Telegram promises no number
_API_HASH = re.compile(r"[0-9a-f]{32}")
_SQLITE = "SQLite format 3"


def api_id(value: str) -> str | None:
    """Of the application."""
    if not (value.isascii() and value.isdigit() and len(value) < 12 and int(value) > 0):
        return "must be a number, as my.telegram.org shows it"
    return None


def api_hash(value: str) -> str | None:
    """Of the application."""
    return None if _API_HASH.fullmatch(value) else "must be 32 digits of 0-9 and a-f, as my.telegram.org shows it"


def bot_token(value: str, *, of_telegram: bool = True) -> str | None:
    """Of a Bot account. `of_telegram` False: a simulator's, which may be of any length."""
    if _looks_like_session(value):
        return "is a session, and a Bot account logs in with a token: take the token that BotFather shows"
    try:
        bot_account_id(value)
    except ValueError as error:
        return f"{error}; copy all of it"
    secret = value.partition(":")[2]
    if not _TOKEN_SECRET.fullmatch(secret):
        return "has characters after the colon that no token has; copy it again from BotFather"
    if of_telegram and len(secret) < _SHORTEST_SECRET:
        return f"is cut off: it has {len(secret)} characters after the colon, and a token has about 35; copy all of it"
    return None


def session(value: str) -> str | None:
    """Of a User account: a Telethon StringSession. What is told cannot say whether Telegram still accepts it."""
    if not value:
        return "is empty; make a session: botrunner login"
    if _is_token(value):
        return "is a bot token, and a User account logs in with a session: make one with botrunner login, or write type: Bot"
    if value.startswith(_SQLITE):
        return "is a session file; a StringSession is needed: make one with botrunner login"
    if len(value.split()) > 1:
        return "is broken over several lines or words; a session is one word without spaces"
    if not value.startswith("1"):
        return "is no StringSession of Telethon (one begins with 1); make one with botrunner login"
    if len(value) not in SESSION_LENGTHS:
        how = "is cut off" if len(value) < max(SESSION_LENGTHS) else "is too long"
        return f"{how}: it has {len(value)} characters, and a session has {SESSION_LENGTHS[0]}; copy all of it"
    try:
        packed = base64.b64decode(value[1:], altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return "has characters that no session has; copy it again, or make a new one with botrunner login"
    if not any(packed[-256:]):
        return "holds no key; make a new one with botrunner login"
    return None


def model_key(value: str) -> str | None:
    """Of the model's endpoint."""
    if not value:
        return "is empty; put the endpoint's key there, or any word if it wants none"
    if len(value.split()) > 1 or not value.isascii() or not value.isprintable():
        return "has spaces, line ends or characters that no key has; copy it again"
    return None


def base_url(value: str) -> str | None:
    """Of the model's endpoint."""
    try:
        parts = urlsplit(value)
        host, user, _ = parts.hostname, parts.username, parts.port
    except ValueError:
        return "is no URL; write one such as https://api.openai.com/v1"
    if not host or any(letter.isspace() for letter in value):
        return "names no host; write a URL such as https://api.openai.com/v1"
    if user is not None:
        return "must hold no user and no password; the key belongs into the Secret of apiKeySecretRef"
    if parts.path.rstrip("/").endswith("/completions"):
        return "must end before /chat/completions, which is added to it; write for example https://api.openai.com/v1"
    if parts.query or parts.fragment:
        return "must hold neither ? nor #; /chat/completions is added to it"
    return None


def shows_the_key(url: str) -> bool:
    """Whether the model's key would cross a network unprotected."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "http" and not (host == "localhost" or host.startswith("127.") or host == "::1")


def public_key(value: str) -> str | None:
    """Of a server, in PEM."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    told = "must be an RSA public key in PEM, with its BEGIN and END lines"
    try:
        return None if isinstance(load_pem_public_key(value.strip().encode()), RSAPublicKey) else told
    except (ValueError, UnsupportedAlgorithm):
        return told


def _is_token(value: str) -> bool:
    try:
        bot_account_id(value)
    except ValueError:
        return False
    return True


def _looks_like_session(value: str) -> bool:
    return value.startswith("1") and ":" not in value and len(value) > 300
