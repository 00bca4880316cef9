"""The one error that a method may answer with, and where its code comes from.

Codes are Telegram's own: they are read from Telethon's table, so that a test names an error and nothing else.
"""

import re

from telethon.errors import rpcerrorlist


class RpcError(Exception):
    """An error of the API as the client gets it: a code and a name in capitals."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code_of(message) if code is None else code


def code_of(message: str) -> int:
    """The code that Telegram sends with the error of that name; 400 for names that nobody knows."""
    error = rpcerrorlist.rpc_errors_dict.get(message.upper())
    if error is None:
        for pattern, candidate in rpcerrorlist.rpc_errors_re:
            if re.match(pattern, message):
                error = candidate
                break
    code = getattr(error, "code", None)
    if isinstance(code, int):
        return code
    return 500 if message.startswith(("INTERNAL", "INTERDC", "RPC_")) else 400
