"""What one account sees: users, chats, messages and updates as TL objects.

Everything depends on the viewer (ids, hashes, who is "self"); it must never change the world.
"""

from collections.abc import Iterable
from typing import Any

from telethon.tl import types

from botfleet_simulator.telegram.access import access_hash, to_peer
from botfleet_simulator.telegram.domain import Account, Box, Chat, LogEntry, Member, Post, bare_id, is_channel
from botfleet_simulator.telegram.media import shown
from botfleet_simulator.telegram.threads import header
from botfleet_simulator.telegram.world import World, now

ADMIN_RIGHTS = types.ChatAdminRights(
    change_info=True,
    post_messages=True,
    edit_messages=True,
    delete_messages=True,
    ban_users=True,
    invite_users=True,
    pin_messages=True,
    add_admins=True,
    other=True,
)


class View:
    """The world through the eyes of one account; gathers the users and chats that an answer has to bring along."""

    __slots__ = ("_known", "_peers", "me", "min_strangers", "world")

    def __init__(self, world: World, me: Account, known: set[int] | None = None) -> None:
        """`known`: where to write down who was shown."""
        self.min_strangers = False
        self.world = world
        self.me = me
        self._known = known
        self._peers: dict[int, None] = {}

    # ---- peers
    def note(self, *peers: int) -> None:
        """Bring these along."""
        for peer in peers:
            self._peers[peer] = None

    def users(self) -> list[Any]:
        """The users gathered so far."""
        accounts = self.world.accounts
        if self._known is not None:
            self._known.update(self._peers)
        found = (accounts[peer] for peer in self._peers if peer > 0 and peer in accounts)
        return [min_user(a) if self._is_stranger(a) else user(a, self.me) for a in found]

    def shown(self) -> Iterable[int]:
        """Whom the answer brings along."""
        return self._peers

    def chats(self) -> list[Any]:
        """The chats gathered so far."""
        chats = self.world.chats
        return [chat(chats[peer], self.me) for peer in self._peers if peer < 0 and peer in chats]

    # ---- messages
    def message(self, post: Post, box: Box) -> Any:
        """A post of a box as a message."""
        me = self.me.id
        peer = post.peer_for(me)
        out = post.sender_id == me and not post.as_channel and not post.author
        self.note(peer)
        writer = post.author or post.sender_id
        if not post.as_channel:
            self.note(writer)
        sender = None if post.as_channel or (peer > 0 and not out) else to_peer(writer)
        if post.action is not None:
            self._note_action(post.action)
            return types.MessageService(
                id=post.copies[box.owner],
                peer_id=to_peer(peer),
                date=post.date,
                action=post.action,
                out=out,
                from_id=sender,
                reply_to=self.reply_header(post, box),
            )
        return types.Message(
            id=post.copies[box.owner],
            peer_id=to_peer(peer),
            date=post.date,
            message=post.text,
            out=out,
            from_id=sender,
            entities=post.entities or None,
            reply_to=self.reply_header(post, box),
            reply_markup=post.markup,
            fwd_from=post.forward,
            edit_date=post.edit_date or None,
            mentioned=self._mentions_me(post) or None,
            silent=post.silent or None,
            post=post.as_channel or None,
            media=self._media(post),
            grouped_id=post.grouped_id or None,
        )

    def _media(self, post: Post) -> Any:
        file = self.world.files.get(post.file_id) if post.file_id else None
        return None if file is None else shown(file)

    def reply_header(self, post: Post, box: Box) -> Any:
        """What a post says it answers and where it stands, under ids that this box knows; None: nothing, or unknown here."""
        if not post.reply_to and not post.top:
            return None
        replied = self.world.posts.get(post.reply_to)
        message_id = None if replied is None else replied.copies.get(box.owner)
        if is_channel(box.owner):
            return header(self.world.chat(box.owner), post.top, message_id)
        return None if message_id is None else types.MessageReplyHeader(reply_to_msg_id=message_id)

    def messages(self, box: Box, ids: Iterable[int]) -> list[Any]:
        """Messages of a box; what is not there is left out."""
        return [self.message(box.posts[i], box) for i in ids if i in box.posts]

    # ---- updates
    def update(self, box: Box, entry: LogEntry) -> Any:
        """The update of a step, or None when there is nothing (any more) to tell."""
        if entry.kind in {"new", "edit"}:
            post = self.world.posts.get(entry.data)
            if post is None or box.owner not in post.copies:
                return None
            message = self.message(post, box)
            if is_channel(box.owner):
                kind = types.UpdateNewChannelMessage if entry.kind == "new" else types.UpdateEditChannelMessage
            else:
                kind = types.UpdateNewMessage if entry.kind == "new" else types.UpdateEditMessage
            return kind(message, entry.pts, entry.count)
        if entry.kind == "delete":
            if is_channel(box.owner):
                return types.UpdateDeleteChannelMessages(bare_id(box.owner), list(entry.data), entry.pts, entry.count)
            return types.UpdateDeleteMessages(list(entry.data), entry.pts, entry.count)
        peer, max_id = entry.data
        self.note(peer)
        if entry.kind == "read_in":
            left = box.unread(peer)
            return types.UpdateReadHistoryInbox(to_peer(peer), max_id, left, entry.pts, entry.count)
        return types.UpdateReadHistoryOutbox(to_peer(peer), max_id, entry.pts, entry.count)

    def updates(self, updates: list[Any]) -> Any:
        """Updates with all that they name."""
        return types.Updates(updates=updates, users=self.users(), chats=self.chats(), date=now(), seq=0)

    def short(self, box: Box, entry: LogEntry, post: Post) -> Any:
        """The short form of a new message; it brings no users along."""
        common = {
            "id": post.copies[box.owner],
            "message": post.text,
            "pts": entry.pts,
            "pts_count": entry.count,
            "date": post.date,
            "out": (post.sender_id == self.me.id) or None,
            "mentioned": self._mentions_me(post) or None,
            "silent": post.silent or None,
            "reply_to": self.reply_header(post, box),
            "entities": post.entities or None,
        }
        if post.target > 0:
            return types.UpdateShortMessage(user_id=post.peer_for(self.me.id), **common)
        return types.UpdateShortChatMessage(from_id=post.sender_id, chat_id=bare_id(post.target), **common)

    def _is_stranger(self, account: Account) -> bool:
        mine = self.world.box(self.me.id).dialogs
        return self.min_strangers and account is not self.me and account.id not in mine

    def _mentions_me(self, post: Post) -> bool:
        if post.target > 0 or post.sender_id == self.me.id:
            return False
        replied = self.world.posts.get(post.reply_to)
        return self.me.id in post.mentions or (replied is not None and replied.sender_id == self.me.id)

    def _note_action(self, action: Any) -> None:
        self.note(*getattr(action, "users", ()))
        if user_id := getattr(action, "user_id", None):
            self.note(user_id)


def user(account: Account, viewer: Account) -> Any:
    """An account as a viewer sees it."""
    mine = account is viewer
    gone = account.deactivated or account.banned
    return types.User(
        id=account.id,
        is_self=mine or None,
        access_hash=access_hash(viewer.id, account.id),
        deleted=gone or None,
        first_name=None if gone else account.first_name,
        last_name=None if gone else account.last_name,
        username=None if gone else account.username,
        phone=account.phone if mine else None,
        bot=account.is_bot or None,
        bot_chat_history=(account.is_bot and not account.privacy_mode) or None,
        bot_info_version=1 if account.is_bot else None,
    )


def min_user(account: Account) -> Any:
    """An account as members of a group are shown to strangers: its hash is of no use to them."""
    return types.User(
        id=account.id,
        min=True,
        access_hash=access_hash(0, account.id),
        first_name=account.first_name,
        last_name=account.last_name,
        username=account.username,
        bot=account.is_bot or None,
        bot_info_version=1 if account.is_bot else None,
    )


def chat(group: Chat, viewer: Account) -> Any:
    """A chat as a viewer sees it."""
    member = group.members.get(viewer.id)
    creator = (member is not None and member.role == "creator") or None
    admin = ADMIN_RIGHTS if group.is_admin(viewer.id) else None
    left = member is None or None
    if not is_channel(group.id):
        moved = group.migrated_to
        return types.Chat(
            id=bare_id(group.id),
            title=group.title,
            photo=types.ChatPhotoEmpty(),
            participants_count=len(group.members),
            date=group.date,
            version=group.version,
            creator=creator,
            left=left,
            admin_rights=admin,
            deactivated=(moved is not None) or None,
            migrated_to=None if moved is None else types.InputChannel(bare_id(moved), access_hash(viewer.id, moved)),
            default_banned_rights=banned_rights(group),
        )
    return types.Channel(
        id=bare_id(group.id),
        title=group.title,
        photo=types.ChatPhotoEmpty(),
        date=group.date,
        creator=creator,
        left=left,
        broadcast=(group.kind == "channel") or None,
        megagroup=(group.kind == "supergroup") or None,
        forum=group.forum or None,
        has_link=(group.linked is not None) or None,
        slowmode_enabled=bool(group.slow_mode_seconds) or None,
        access_hash=access_hash(viewer.id, group.id),
        username=group.username,
        admin_rights=admin,
        default_banned_rights=banned_rights(group),
        participants_count=len(group.members),
    )


def banned_rights(group: Chat) -> Any:
    """What ordinary members of a chat may not do."""
    return types.ChatBannedRights(until_date=0, send_messages=group.write_forbidden or None)


def basic_participant(member: Member) -> Any:
    """A member of a basic group."""
    if member.role == "creator":
        return types.ChatParticipantCreator(member.account_id)
    kind = types.ChatParticipantAdmin if member.role == "admin" else types.ChatParticipant
    return kind(member.account_id, member.inviter_id, member.date)


def channel_participant(member: Member, viewer: Account) -> Any:
    """A member of a channel or supergroup."""
    if member.role == "creator":
        return types.ChannelParticipantCreator(member.account_id, ADMIN_RIGHTS)
    if member.role == "admin":
        return types.ChannelParticipantAdmin(
            member.account_id, member.inviter_id, member.date, ADMIN_RIGHTS, inviter_id=member.inviter_id
        )
    if member.account_id == viewer.id:
        return types.ChannelParticipantSelf(member.account_id, member.inviter_id, member.date)
    return types.ChannelParticipant(member.account_id, member.date)
