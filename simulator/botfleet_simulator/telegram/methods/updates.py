"""updates.*: where an account's and a channel's sequences stand, and what came since.

It must never move a sequence.
"""

from typing import Any

from telethon.tl import functions, types

from botfleet_simulator.telegram.access import to_peer
from botfleet_simulator.telegram.domain import Box, LogEntry, bare_id, is_channel
from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.render import View
from botfleet_simulator.telegram.rpc import Context, method
from botfleet_simulator.telegram.world import now

F = functions.updates
SEQ = 1
PREVIEW = 20


@method(F.GetStateRequest)
def get_state(context: Context, request: Any) -> Any:
    """Where the account stands."""
    return state(context)


@method(F.GetDifferenceRequest)
def get_difference(context: Context, request: Any) -> Any:
    """What came for the account since a pts."""
    box, settings = context.world.box(context.me.id), context.server.settings
    if request.pts < 1:
        raise RpcError("PERSISTENT_TIMESTAMP_EMPTY")
    steps = box.log.since(request.pts)
    if request.pts < box.log.floor or len(steps) > settings.difference_limit:
        return types.updates.DifferenceTooLong(box.pts)
    channels = _changed_channels(context, request.date) if settings.channels_in_difference else []
    if not steps and not channels:
        return types.updates.DifferenceEmpty(now(), SEQ)
    part = steps[: settings.slice_limit]
    view = context.view()
    view.note(context.me.id)
    new, other = _split(context, view, box, part)
    if len(part) < len(steps):
        reached = state(context, part[-1].pts)
        return types.updates.DifferenceSlice(new, [], other, view.chats(), view.users(), reached)
    for channel in channels:
        view.note(channel.owner)
        other.append(types.UpdateChannelTooLong(bare_id(channel.owner), channel.pts))
    return types.updates.Difference(new, [], other, view.chats(), view.users(), state(context))


@method(F.GetChannelDifferenceRequest)
def get_channel_difference(context: Context, request: Any) -> Any:
    """What came in a channel since a pts."""
    chat = context.server.access.channel(context.me, request.channel)
    if request.pts < 1:
        raise RpcError("PERSISTENT_TIMESTAMP_EMPTY")
    if request.limit < 1:
        raise RpcError("LIMIT_INVALID")
    box, settings = context.world.box(chat.id), context.server.settings
    steps = box.log.since(request.pts)
    view = context.view()
    view.min_strangers = settings.min_users
    view.note(chat.id)
    if request.pts < box.log.floor or len(steps) > settings.channel_difference_limit:
        return _channel_too_long(context, view, box)
    if not steps:
        return types.updates.ChannelDifferenceEmpty(pts=box.pts, final=True)
    part = steps[: request.limit]
    new, other = _split(context, view, box, part)
    final = len(part) == len(steps)
    reached = box.pts if final else part[-1].pts
    return types.updates.ChannelDifference(reached, new, other, view.chats(), view.users(), final=final or None)


def state(context: Context, pts: int | None = None) -> Any:
    """The account's update state."""
    box = context.world.box(context.me.id)
    unread = sum(box.unread(peer) for peer in box.dialogs) if not context.me.is_bot else 0
    return types.updates.State(box.pts if pts is None else pts, 0, now(), SEQ, unread)


def _split(context: Context, view: View, box: Box, steps: list[LogEntry]) -> tuple[list[Any], list[Any]]:
    new: list[Any] = []
    other: list[Any] = []
    with_ids = context.server.settings.message_ids_in_difference
    for entry in steps:
        if entry.kind in {"new", "edit"}:
            post = context.world.posts.get(entry.data)
            if post is None or box.owner not in post.copies or not context.server.messaging.visible(context.me, post):
                continue
            if entry.kind == "new":
                new.append(view.message(post, box))
                if with_ids and post.random_id and post.sender_id == context.me.id:
                    other.append(types.UpdateMessageID(post.copies[box.owner], post.random_id))
                continue
        if (update := view.update(box, entry)) is not None:
            other.append(update)
    return new, other


def _changed_channels(context: Context, since: Any) -> list[Box]:
    if since is None:
        return []
    moment = int(since.timestamp())
    changed = []
    for peer, chat in context.world.chats.items():
        if is_channel(peer) and context.me.id in chat.members:
            box = context.world.box(peer)
            if box.posts and box.posts[max(box.posts)].date >= moment:
                changed.append(box)
    return changed


def _channel_too_long(context: Context, view: View, box: Box) -> Any:
    ids = box.dialog(box.owner).ids[-PREVIEW:]
    shown = [i for i in ids if context.server.messaging.visible(context.me, box.posts[i])]
    own = context.world.box(context.me.id).dialog(box.owner)
    dialog = types.Dialog(
        peer=to_peer(box.owner),
        top_message=ids[-1] if ids else 0,
        read_inbox_max_id=own.read_in,
        read_outbox_max_id=own.read_out,
        unread_count=0,
        unread_mentions_count=0,
        unread_reactions_count=0,
        unread_poll_votes_count=0,
        notify_settings=types.PeerNotifySettings(),
        pts=box.pts,
    )
    messages = view.messages(box, reversed(shown))
    return types.updates.ChannelDifferenceTooLong(dialog, messages, view.chats(), view.users(), final=True)
