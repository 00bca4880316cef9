"""Why: one spelling of the digests that operator and runner compare. A digest of a credential stands for it without showing it."""

import hashlib
import json
from typing import Any

from botfleet.effective import EffectiveSpec
from botfleet.keys import fingerprint

NOT_THE_RUNNERS = ("suspend", "deletionPolicy", "network", "workload")
"""Parts of a spec that only the operator acts on."""


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def content_digest(value: Any) -> str:
    """sha256 in hex of the canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()


def spec_digest(spec: EffectiveSpec) -> str:
    """Of what a runner acts on: where it runs and whether it is suspended are not in it."""
    wire = spec.to_spec().to_wire()
    return content_digest({part: said for part, said in wire.items() if part not in NOT_THE_RUNNERS})


def credential_digest(credential: str) -> str:
    """Of a bot token or a session string, without white space round it."""
    return fingerprint(credential.strip().encode())


def bot_account_id(token: str) -> int:
    """The account's id, with which a bot token begins (`123456:AA…`); public, it proves nothing.

    Raises:
        ValueError: the text is no bot token; its message does not contain it.
    """
    head, colon, tail = token.strip().partition(":")
    if not (head.isascii() and head.isdigit() and colon and tail) or len(head) > 18:
        raise ValueError("a bot token looks like 123456789:AA… as BotFather shows it")
    return int(head)
