"""The one family of errors that the tools raise for a person to read.

A command prints such an error without a traceback: it says what failed and what to do, and never holds a secret.
"""


class ToolError(Exception):
    """Something that a person must read: what failed, and where one is known, the command that mends it."""
