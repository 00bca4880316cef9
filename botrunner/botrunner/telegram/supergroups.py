"""Why: a group that becomes a supergroup gets another id and begins to count its messages anew. Telegram tells it in three ways.

Pure. Whatever comes late for the group is the supergroup's, under numbers that are none of its own.
Sources: https://core.telegram.org/api/channel#migration, https://core.telegram.org/constructor/messageActionChatMigrateTo
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from telethon.tl import types

from botfleet.store.rows import Deletion, Incoming, Intake, PeerRow, earlier_id
from botrunner.telegram.careful import read
from botrunner.telegram.entities import channel_peer_id, is_channel, is_group, marked
from botrunner.telegram.intake import NEW, Raw


def migrations_of(raw: Raw) -> dict[int, int]:
    """Groups that are supergroups now, by their old marked id: from the last message of the one, the first of the other, or
    what came along of the group itself."""
    messages = (*raw.messages, *(update.message for update in raw.updates if isinstance(update, NEW)))
    told = (read(message, _migration) for message in messages if isinstance(message, types.MessageService))
    found = dict(one for one in told if one is not None)
    return found | {old: new.peer_id for old, new in _groups(raw)}


def _migration(message: Any) -> tuple[int, int] | None:
    here, action = marked(message.peer_id), message.action
    if isinstance(action, types.MessageActionChatMigrateTo) and is_group(here):
        return here, channel_peer_id(action.channel_id)
    if isinstance(action, types.MessageActionChannelMigrateFrom) and is_channel(here):
        return marked(types.PeerChat(action.chat_id)), here
    return None


def hashes_of(raw: Raw) -> list[PeerRow]:
    """Of the supergroups, as the groups name them: a supergroup itself need not come along."""
    return [new for _, new in _groups(raw)]


def _groups(raw: Raw) -> list[tuple[int, PeerRow]]:
    told = (read(entity, _became) for entity in raw.entities if isinstance(entity, types.Chat))
    return [one for one in told if one is not None]


def _became(group: Any) -> tuple[int, PeerRow] | None:
    to = group.migrated_to
    if not isinstance(to, types.InputChannel):
        return None
    return marked(group), PeerRow(channel_peer_id(to.channel_id), to.access_hash)


def follow(intake: Intake, moved: Mapping[int, int]) -> Intake:
    """What is about a group that is a supergroup now is about that. `moved`: by the old id."""
    if not moved:
        return intake
    # A deletion in a group names no chat.
    nameless = [gone.message_id for gone in intake.deletions if gone.peer_id is None]
    elsewhere = [Deletion(earlier_id(one), new) for one in nameless for new in moved.values()]
    return replace(
        intake,
        messages=tuple(_moved(message, moved) for message in intake.messages),
        edits=tuple(
            replace(edit, peer_id=moved[edit.peer_id], message_id=earlier_id(edit.message_id))
            if edit.peer_id in moved
            else edit
            for edit in intake.edits
        ),
        deletions=(*intake.deletions, *elsewhere),
    )


def _moved(message: Incoming, moved: Mapping[int, int]) -> Incoming:
    if message.peer_id not in moved:
        return message
    answers = message.reply_to_message_id
    return replace(
        message,
        peer_id=moved[message.peer_id],
        message_id=earlier_id(message.message_id),
        reply_to_message_id=None if answers is None else earlier_id(answers),
        access_hash=None,
    )
