"""Why: one account, one bot. A runner stays off Telegram until the credential that it has in hand is the one bound to its bot.

In a cluster the operator alone binds, and this only reads; a bot that runs alone binds in its own store.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from botfleet.store.binding import Binding, BindingRepository, Bound


class Credential(Protocol):
    """What is compared: `botrunner.telegram.types.BotToken` or `UserSession`."""

    @property
    def digest(self) -> str:
        """What stands for it in the store."""

    @property
    def account_key(self) -> str:
        """The key of its binding. Raises ValueError when it names no account."""


class Bindings(Protocol):
    """Asked before each connection."""

    async def may_use(self, credential: Credential) -> bool:
        """Whether this credential may be used now."""

    async def may_use_account(self, credential: Credential, account_id: int) -> bool:
        """Whether the account that Telegram says it is may be used now; a bot token names its account itself."""

    async def is_moving(self, credential: Credential, account_id: int) -> bool:
        """Whether another bot had the account, and what goes with it is still to come: nothing is taken in before."""


def user_key(account_id: int) -> str:
    """The key of a person's account."""
    return f"user:{account_id}"


def is_bound(bindings: Sequence[Binding], account_key: str, digest: str) -> bool:
    """Whether the account is bound with this very credential."""
    return any(one.account_key == account_key and one.credential_digest == digest for one in bindings)


class OperatorBindings:
    """Of a bot in a cluster: read, never written."""

    def __init__(self, repository: BindingRepository, bot_id: str) -> None:
        self._repository = repository
        self._bot_id = bot_id

    async def may_use(self, credential: Credential) -> bool:
        """False also while kubelet and operator see different versions of the Secret; that passes."""
        return is_bound(await self._repository.of_bot(self._bot_id), _key(credential), credential.digest)

    async def may_use_account(self, credential: Credential, account_id: int) -> bool:
        """A person's account needs a binding by its id, with the same credential."""
        if _key(credential).startswith("bot:"):
            return True
        return is_bound(await self._repository.of_bot(self._bot_id), user_key(account_id), credential.digest)

    async def is_moving(self, credential: Credential, account_id: int) -> bool:
        """As the operator has written it; over once it has seen that Telegram accepts the credential."""
        keys = {_key(credential), user_key(account_id)}
        return any(one.moving and one.account_key in keys for one in await self._repository.of_bot(self._bot_id))


class LocalBindings:
    """Of a bot that runs alone: bound at first use."""

    def __init__(self, repository: BindingRepository, bot_id: str) -> None:
        self._repository = repository
        self._bot_id = bot_id

    async def may_use(self, credential: Credential) -> bool:
        """True, once it is bound."""
        return await self._bind(_key(credential), credential.digest)

    async def may_use_account(self, credential: Credential, account_id: int) -> bool:
        """True, once it is bound."""
        return _key(credential).startswith("bot:") or await self._bind(user_key(account_id), credential.digest)

    async def is_moving(self, credential: Credential, account_id: int) -> bool:
        """False: there is no other bot in its store."""
        return False

    async def _bind(self, account_key: str, digest: str) -> bool:
        if is_bound(await self._repository.of_bot(self._bot_id), account_key, digest):
            return True
        bound = await self._repository.bind(self._bot_id, account_key, digest, datetime.now(UTC))
        return isinstance(bound, Bound)


def _key(credential: Credential) -> str:
    try:
        return credential.account_key
    except ValueError:
        return "bot:"  # no token at all: the login says so
