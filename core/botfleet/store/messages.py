"""Why: the message path of one account in one hand, put together from its concerns. No statement of its own but the counts."""

import sqlalchemy as sa

from botfleet.store.answers import AnswerRepository
from botfleet.store.facts import FactRepository
from botfleet.store.fence import now
from botfleet.store.forgetting import ForgettingRepository
from botfleet.store.glances import GlanceRepository
from botfleet.store.media import MediaRepository
from botfleet.store.memory import MemoryRepository
from botfleet.store.outgoing import OutgoingRepository
from botfleet.store.people import PeopleRepository
from botfleet.store.proof import OPEN
from botfleet.store.rows import Counts
from botfleet.store.settling import SettlingRepository
from botfleet.store.situation import SituationRepository
from botfleet.store.starters import StarterRepository
from botfleet.store.steering import SteeringRepository
from botfleet.store.tables import InboxState, inbox, outbox, takeovers
from botfleet.store.usage import UsageRepository


class MessagePath(
    SettlingRepository,
    SituationRepository,
    MemoryRepository,
    FactRepository,
    StarterRepository,
    AnswerRepository,
    OutgoingRepository,
    PeopleRepository,
    UsageRepository,
    GlanceRepository,
    SteeringRepository,
    ForgettingRepository,
    MediaRepository,
):
    """Update, inbox, answer, outbox, proof. Every write is fenced: a stale token writes nothing and raises LeaseLost."""

    async def counts(self) -> Counts:
        """For metrics."""
        waiting = self.mine(inbox, state=InboxState.PENDING.value)
        statement = sa.select(
            sa.select(sa.func.count()).select_from(inbox).where(waiting).scalar_subquery(),
            sa.select(sa.func.min(inbox.c.received_at)).where(waiting).scalar_subquery(),
            sa.select(sa.func.count())
            .select_from(outbox)
            .where(self.mine(outbox), outbox.c.state.in_(OPEN))
            .scalar_subquery(),
            sa.select(sa.func.count())
            .select_from(takeovers)
            .where(self.mine(takeovers), takeovers.c.ended_at.is_(None), takeovers.c.until > now())
            .scalar_subquery(),
        )
        async with self.store.read() as connection:
            return Counts(*(await connection.execute(statement)).one())
