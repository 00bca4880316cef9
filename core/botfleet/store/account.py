"""Why: the account's stored session, so that a restart is not a login. The session comes and goes sealed; never in the clear."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from botfleet.store.fence import Fenced, now
from botfleet.store.tables import UtcDateTime, accounts


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """What is stored of an account. `session` None: discarded. `authorized_at` None: the key was not seen authorized."""

    account_id: int
    credential_digest: str
    session: bytes | None
    username: str | None
    authorized_at: datetime | None
    token_login_at: datetime | None


class AccountRepository(Fenced):
    """The row of one account of this bot. Another account is another row, with its own states and messages."""

    async def load(self) -> StoredAccount | None:
        """None: this account was never here."""
        statement = sa.select(
            accounts.c.account_id,
            accounts.c.credential_digest,
            accounts.c.session,
            accounts.c.username,
            accounts.c.authorized_at,
            accounts.c.token_login_at,
        ).where(self.mine(accounts))
        async with self.store.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else StoredAccount(*row)

    async def save_session(self, sealed: bytes, credential_digest: str) -> None:
        """Store a session whose key is not known to be authorized yet (call before the import).

        Raises:
            LeaseLost: nothing was written.
        """
        values = {"session": sealed, "credential_digest": credential_digest, "authorized_at": None}
        statement = (
            self.insert(accounts)
            .values(**self.keys, **values)
            .on_conflict_do_update(index_elements=[accounts.c.bot_id, accounts.c.account_id], set_=values)
        )
        async with self.store.begin() as connection:
            await self.fence(connection)
            await connection.execute(statement)

    async def mark_authorized(self, username: str | None) -> None:
        """Telegram accepts the stored session; the first such moment is kept."""
        await self._update(
            username=username, authorized_at=sa.func.coalesce(accounts.c.authorized_at, sa.literal(now(), UtcDateTime))
        )

    async def note_token_login(self) -> None:
        """A login with the token takes place now; they must be rare."""
        await self._update(token_login_at=now())

    async def discard(self) -> None:
        """Forget the session (revoked, another credential); the time of the last token login stays."""
        await self._update(session=None, authorized_at=None)

    async def _update(self, **values: Any) -> None:
        async with self.store.begin() as connection:
            await self.fence(connection)
            await connection.execute(sa.update(accounts).where(self.mine(accounts)).values(**values))
