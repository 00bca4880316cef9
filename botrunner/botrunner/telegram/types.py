"""Why: the words of the Telegram side, free of Telethon, for the rest of the runner. Secrets never show in a repr."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from botfleet.conditions import Reason
from botfleet.digest import bot_account_id, credential_digest


@dataclass(frozen=True)
class ApiCredentials:
    """Of the application, from my.telegram.org."""

    api_id: int
    api_hash: str = field(repr=False)


@dataclass(frozen=True)
class Server:
    """A data center other than the production ones. A host name is resolved at each connection."""

    dc_id: int
    address: str
    port: int
    public_key: str | None = field(default=None, repr=False)
    """PEM; needed only where a new key is agreed on (a bot's first login)."""


@dataclass(frozen=True)
class BotToken:
    """A token from BotFather."""

    token: str = field(repr=False)

    @property
    def digest(self) -> str:
        """What stands for the token in the store."""
        return credential_digest(self.token)

    @property
    def account_id(self) -> int:
        """The account that the token names.

        Raises:
            ValueError: it is no token.
        """
        return bot_account_id(self.token)

    @property
    def account_key(self) -> str:
        """The key of its binding.

        Raises:
            ValueError: it is no token.
        """
        return f"bot:{self.account_id}"


@dataclass(frozen=True)
class UserSession:
    """A person's account: a Telethon StringSession. Whose it is, only Telegram can tell."""

    string: str = field(repr=False)

    @property
    def digest(self) -> str:
        """What stands for the session in the store."""
        return credential_digest(self.string)

    @property
    def account_key(self) -> str:
        """The key of its binding until the account's id is known."""
        return f"session:{self.digest}"


Credential = BotToken | UserSession


@dataclass(frozen=True)
class Me:
    """The account that is logged in."""

    id: int
    username: str | None
    bot: bool


@dataclass(frozen=True)
class OwnerTyping:
    """What it means when the owner of a person's account types into a chat: how long it is the owner's then, and what gives
    it back."""

    lasts: timedelta
    is_release: Callable[[str], bool]


class RefusedError(Exception):
    """Telegram does not let the account in, and trying again with the same credential will not help."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class TryAgainError(Exception):
    """Not now. `after` seconds at least; `why` is a name for the log; `reason`, if the account is what it waits for."""

    def __init__(self, after: float, why: str, reason: Reason | None = None) -> None:
        super().__init__(f"{why}: again in {after:.0f} s")
        self.after = after
        self.why = why
        self.reason = reason
