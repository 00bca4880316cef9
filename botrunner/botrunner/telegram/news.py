"""Why: some of what comes in is about what stands already in the store: that is told apart from the rest here. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from botfleet.store.rows import Intake, Migration, PeerRow, Written
from botrunner.telegram.intake import Raw
from botrunner.telegram.own import answers_of_a_run, own_messages
from botrunner.telegram.supergroups import follow, hashes_of, migrations_of
from botrunner.telegram.types import Me


@dataclass(frozen=True)
class News:
    """`migrated`: groups that became supergroups, by the old id; `written`: what the account has written, as far as that closes
    what was asked; `hashes`: of the supergroups."""

    migrated: Mapping[int, int] = field(default_factory=dict)
    written: tuple[Written, ...] = ()
    hashes: tuple[PeerRow, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.migrated or self.written)

    @property
    def migrations(self) -> list[Migration]:
        """As the store takes them."""
        return [Migration(old, new) for old, new in self.migrated.items()]


def news_of(raw: Raw, intake: Intake, me: Me, migrated: Mapping[int, int]) -> tuple[Intake, News]:
    """What an intake says of what stands already, and the intake as it is to be stored.

    A person who has the account may have typed what it wrote in a private chat; that is a takeover (`Intake.own`), unless the
    runner is known to have sent it.

    Args:
        migrated: what is known of groups that became supergroups.
    """
    new = {old: to for old, to in migrations_of(raw).items() if migrated.get(old) != to}
    hashes = tuple(hashes_of(raw)) if new else ()
    written = own_messages(raw.messages, me.id)
    if not me.bot:
        ours = answers_of_a_run(written, intake, me.id)
        written = tuple(one for one in written if one.peer_id < 0 or (one.peer_id, one.message_id) in ours)
        typed = tuple(one for one in intake.own if (one.peer_id, one.message_id) not in ours)
        intake = replace(intake, own=typed)
    intake = follow(replace(intake, peers=(*hashes, *intake.peers)), {**migrated, **new})
    return intake, News(new, written, hashes)
