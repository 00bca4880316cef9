"""Looking at messages and chats: history, single messages, dialogs, search.

Bots have no history; it must never show them one.
"""

from bisect import bisect_left
from typing import Any

from telethon.tl import functions, types

from botfleet_simulator.telegram.access import to_peer
from botfleet_simulator.telegram.domain import Box, Post, is_channel
from botfleet_simulator.telegram.methods.updates import state
from botfleet_simulator.telegram.rpc import Context, method

F = functions.messages
PAGE_LIMIT = 100


@method(F.GetHistoryRequest, bots=False)
def get_history(context: Context, request: Any) -> Any:
    """A page of a chat, newest first."""
    peer = context.server.access.peer(context.me, request.peer)
    box = context.world.box_of(context.me.id, peer)
    return _page(context, peer, box, request, [i for i in box.dialog(peer).ids if i in box.posts])


@method(F.SearchRequest, bots=False)
def search(context: Context, request: Any) -> Any:
    """Messages of a chat that contain a text."""
    peer = context.server.access.peer(context.me, request.peer)
    box = context.world.box_of(context.me.id, peer)
    wanted = request.q.casefold()
    sender = context.server.access.peer(context.me, request.from_id) if request.from_id is not None else None

    def fits(post: Post) -> bool:
        return wanted in post.text.casefold() and sender in {None, post.sender_id} and post.action is None

    plain = isinstance(request.filter, types.InputMessagesFilterEmpty)
    ids = [i for i in box.dialog(peer).ids if plain and fits(box.posts[i])]
    return _page(context, peer, box, request, ids)


@method(F.GetMessagesRequest)
def get_messages(context: Context, request: Any) -> Any:
    """Messages of private chats and basic groups by id."""
    view, box = context.view(), context.world.box(context.me.id)
    messages = [one_message(context, view, box, given) for given in request.id]
    return types.messages.Messages(messages, [], view.chats(), view.users())


@method(F.GetDialogsRequest, bots=False)
def get_dialogs(context: Context, request: Any) -> Any:
    """The chats that the account has, newest first."""
    peers = sorted(_dialog_peers(context), key=lambda peer: -_top(context, peer)[0])
    limit = min(request.limit or PAGE_LIMIT, PAGE_LIMIT)
    if before := _moment(request.offset_date):
        peers = [peer for peer in peers if _top(context, peer)[0] < before]
    page = peers[:limit]
    view = context.view()
    dialogs, messages = _dialogs(context, view, page)
    if len(page) < len(peers):
        return types.messages.DialogsSlice(len(peers), dialogs, messages, view.chats(), view.users())
    return types.messages.Dialogs(dialogs, messages, view.chats(), view.users())


@method(F.GetPinnedDialogsRequest, bots=False)
def get_pinned_dialogs(context: Context, request: Any) -> Any:
    """Nothing is pinned."""
    return types.messages.PeerDialogs([], [], [], [], state(context))


@method(F.GetPeerDialogsRequest, bots=False)
def get_peer_dialogs(context: Context, request: Any) -> Any:
    """Certain chats."""
    view = context.view()
    given = [peer.peer for peer in request.peers if isinstance(peer, types.InputDialogPeer)]
    peers = [context.server.access.peer(context.me, peer) for peer in given]
    dialogs, messages = _dialogs(context, view, peers)
    return types.messages.PeerDialogs(dialogs, messages, view.chats(), view.users(), state(context))


def dialog(context: Context, peer: int) -> Any:
    """One chat as the caller has it."""
    own = context.world.box(context.me.id).dialog(peer)
    box = context.world.box_of(context.me.id, peer)
    ids = box.dialog(peer).ids
    unread = sum(1 for i in ids if i > own.read_in and box.posts[i].sender_id != context.me.id)
    return types.Dialog(
        peer=to_peer(peer),
        top_message=ids[-1] if ids else 0,
        read_inbox_max_id=own.read_in,
        read_outbox_max_id=own.read_out,
        unread_count=unread,
        unread_mentions_count=0,
        unread_reactions_count=0,
        unread_poll_votes_count=0,
        notify_settings=types.PeerNotifySettings(),
        pts=box.pts if is_channel(peer) else None,
    )


def one_message(context: Context, view: Any, box: Box, given: Any) -> Any:
    """A message by InputMessage; MessageEmpty when it is not there or not for the caller."""
    message_id = getattr(given, "id", 0)
    post = box.posts.get(message_id)
    if isinstance(given, types.InputMessageReplyTo):
        replied = context.world.posts.get(post.reply_to) if post is not None else None
        message_id = replied.copies.get(box.owner, 0) if replied is not None else 0
        post = box.posts.get(message_id)
    if post is None or not context.server.messaging.visible(context.me, post):
        return types.MessageEmpty(id=message_id, peer_id=None)
    return view.message(post, box)


def _page(context: Context, peer: int, box: Box, request: Any, ids: list[int]) -> Any:
    """Apply Telegram's offsets (core.telegram.org/api/offsets) to ids in ascending order."""
    total = len(ids)
    if request.max_id:
        ids = [i for i in ids if i < request.max_id]
    if request.min_id:
        ids = [i for i in ids if i > request.min_id]
    before = _moment(getattr(request, "offset_date", None) or getattr(request, "max_date", None))
    if before:
        ids = [i for i in ids if box.posts[i].date < before]
    newest = bisect_left(ids, request.offset_id) if request.offset_id else len(ids)
    end = newest - request.add_offset
    limit = min(max(request.limit, 0), PAGE_LIMIT)
    page = ids[max(0, end - limit) : max(0, end)]
    view = context.view()
    view.note(peer, context.me.id)
    messages = view.messages(box, reversed(page))
    if is_channel(peer):
        return types.messages.ChannelMessages(box.pts, total, messages, [], view.chats(), view.users())
    if len(page) < total:
        return types.messages.MessagesSlice(total, messages, [], view.chats(), view.users())
    return types.messages.Messages(messages, [], view.chats(), view.users())


def _moment(date: Any) -> int:
    """A date of a request in seconds; 0, which Telethon reads as 1970, is none."""
    return 0 if date is None else max(0, int(date.timestamp()))


def _dialog_peers(context: Context) -> list[int]:
    own = context.world.box(context.me.id).dialogs
    peers = [peer for peer, held in own.items() if held.ids]
    return peers + [p for p, chat in context.world.chats.items() if is_channel(p) and context.me.id in chat.members]


def _top(context: Context, peer: int) -> tuple[int, int]:
    box = context.world.box_of(context.me.id, peer)
    ids = box.dialog(peer).ids
    return (box.posts[ids[-1]].date, ids[-1]) if ids else (context.world.chat(peer).date, 0)


def _dialogs(context: Context, view: Any, peers: list[int]) -> tuple[list[Any], list[Any]]:
    dialogs, messages = [], []
    for peer in peers:
        view.note(peer)
        found = dialog(context, peer)
        dialogs.append(found)
        messages += view.messages(context.world.box_of(context.me.id, peer), [found.top_message])
    return dialogs, messages
