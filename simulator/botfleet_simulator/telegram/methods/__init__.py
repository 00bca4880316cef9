"""The methods of the API, a module a namespace; importing this registers them all.

A method checks its arguments, calls the domain and renders the answer; it must never write to storage by itself.
"""

from botfleet_simulator.telegram.methods import (
    account,
    auth,
    bots,
    channels,
    groups,
    history,
    media,
    messages,
    people,
    qrlogin,
    service,
    topics,
    updates,
    upload,
)

__all__ = [
    "account",
    "auth",
    "bots",
    "channels",
    "groups",
    "history",
    "media",
    "messages",
    "people",
    "qrlogin",
    "service",
    "topics",
    "updates",
    "upload",
]
