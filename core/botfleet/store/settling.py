"""Why: some news is about what stands already: a group became a supergroup, an answer was given by a run that is forgotten.

Such an intake is rare, so on both databases it is an ordinary transaction: the intake and what follows from it, or neither.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from botfleet.store.answered_before import close_answered_before
from botfleet.store.folding import fold
from botfleet.store.history import until_placed
from botfleet.store.intake import IntakeRepository
from botfleet.store.migrating import migrate
from botfleet.store.rows import Intake, Migration, Settled, Written
from botfleet.store.tables import chats


class SettlingRepository(IntakeRepository):
    """Intakes that change what stands already."""

    async def settle(
        self, intake: Intake, *, migrations: Sequence[Migration] = (), own: Sequence[Written] = ()
    ) -> Settled:
        """Take in, and settle what follows, in one transaction. Repeated it changes nothing.

        Args:
            migrations: groups that became supergroups.
            own: the account's own messages of a difference.

        Raises:
            LeaseLost: nothing was written.
            StoreUnavailable: not known whether it was; build client and session anew from the store.
        """
        settled, handed_over = await until_placed(lambda: self._settle(intake, migrations, own))
        if handed_over:
            self.on_handed_over(handed_over)
        return settled

    async def migrations(self) -> dict[int, int]:
        """Groups that are supergroups now, by their old id."""
        statement = sa.select(chats.c.peer_id, chats.c.migrated_to).where(
            self.mine(chats), chats.c.migrated_to.is_not(None)
        )
        async with self.store.read() as connection:
            return {row[0]: row[1] for row in (await connection.execute(statement)).all()}

    async def follow_migration(self, peer_id: int) -> int | None:
        """Move what was stored for a group after it had become a supergroup. Returns which; None: it is not known to be one."""
        new = (await self.migrations()).get(peer_id)
        if new is not None:
            await self.settle(Intake(), migrations=[Migration(peer_id, new)])
        return new

    async def _settle(
        self, intake: Intake, migrations: Sequence[Migration], own: Sequence[Written]
    ) -> tuple[Settled, int]:
        async with self.store.begin() as connection:
            await self.fence(connection)
            waiting, handed_over = await self._take_in_within(connection, fold(intake))
            for migration in migrations:
                if await migrate(self, connection, migration):
                    waiting.add(migration.new)
                waiting.discard(migration.old)
            closed = await close_answered_before(self, connection, own)
        return Settled(waiting, closed), handed_over
