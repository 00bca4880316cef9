"""The verbs of messages: send, edit, delete, read. They check what Telegram checks and move every box that they touch.

They change the world and return the steps made; they must never render TL or talk to connections.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from telethon.tl import types

from botfleet_simulator.telegram import text as texts
from botfleet_simulator.telegram.access import to_peer
from botfleet_simulator.telegram.domain import Account, Box, Chat, LogEntry, Post, is_channel
from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.threads import place
from botfleet_simulator.telegram.world import World, now


class Change(NamedTuple):
    """A step that a box made."""

    box: Box
    entry: LogEntry


@dataclass(slots=True)
class Draft:
    """What somebody wants to send."""

    text: str
    random_id: int
    entities: list[Any] = field(default_factory=list)
    reply_to: int = 0
    top: int = 0
    markup: Any = None
    silent: bool = False
    forward: Any = None
    file_id: int = 0
    grouped_id: int = 0


@dataclass(slots=True)
class Sent:
    """What became of a draft. `repeated`: its random_id had been used, and this is the first post with it."""

    post: Post
    changes: list[Change]
    repeated: bool = False


class Messaging:
    """Messages of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._last_post: dict[tuple[int, int], int] = {}

    # ---- sending
    def send(self, sender: Account, target: int, draft: Draft) -> Sent:
        """Send a draft. Raises RpcError as messages.sendMessage does."""
        if not draft.random_id:
            raise RpcError("RANDOM_ID_EMPTY")
        first = self.world.by_random_id.get((sender.id, draft.random_id))
        if first is not None:
            return Sent(first, [], repeated=True)
        chat = self.world.chats.get(target) if target < 0 else None
        if chat is None:
            self.check_private(sender, self.world.account(target))
        else:
            self.check_chat(sender, chat)
        kept, entities = texts.clean(draft.text, draft.entities, caption=bool(draft.file_id))
        post = Post(self.world.next_uid(), sender.id, target, now(), kept, draft.random_id, entities)
        post.markup, post.silent, post.forward = draft.markup, draft.silent, draft.forward
        post.file_id, post.grouped_id = draft.file_id, draft.grouped_id
        post.as_channel = chat is not None and chat.kind == "channel"
        post.mentions = self._mentioned(kept, entities)
        self._place(post, chat, draft)
        if chat is not None and chat.slow_mode_seconds:
            self._last_post[chat.id, sender.id] = post.date
        changes = self.publish(post)
        if chat is not None and chat.kind == "channel" and chat.linked is not None:
            changes += self.publish(self._discussed(post, chat))
        return Sent(post, changes)

    def service(self, actor_id: int, chat: Chat, action: Any, *, also: Iterable[int] = ()) -> Sent:
        """Put a service message into a chat; `also` get it although they are no members (any more)."""
        post = Post(self.world.next_uid(), actor_id, chat.id, now(), action=action)
        return Sent(post, self.publish(post, also=also))

    def publish(self, post: Post, *, also: Iterable[int] = ()) -> list[Change]:
        """Give a post its place in every box that gets it."""
        self.world.add_post(post)
        changes = []
        for owner in self._receivers(post, also):
            box = self.world.box(owner)
            message_id = box.put(post)
            self.world.save_copy(box, message_id, post)
            changes.append(self._step(box, box.step("new", post.uid)))
        self.world.save_post(post)
        return changes

    def check_private(self, sender: Account, receiver: Account) -> None:
        """Whether one account may write to another. Raises RpcError."""
        if receiver.deactivated or receiver.banned:
            raise RpcError("INPUT_USER_DEACTIVATED")
        if sender.id in receiver.blocked:
            raise RpcError("USER_IS_BLOCKED")
        if receiver.id in sender.blocked:
            raise RpcError("YOU_BLOCKED_USER")
        if sender.is_bot and receiver.is_bot and sender is not receiver:
            raise RpcError("USER_IS_BOT")
        if sender.is_bot and (sender.id, receiver.id) not in self.world.started:
            raise RpcError("PEER_ID_INVALID")

    def check_member(self, sender: Account, chat: Chat) -> None:
        """Whether an account is in a chat that is in use. Raises RpcError."""
        if chat.migrated_to is not None:
            raise RpcError("PEER_ID_INVALID")
        if sender.id in chat.banned:
            raise RpcError("USER_BANNED_IN_CHANNEL")
        if sender.id not in chat.members:
            raise RpcError("CHAT_WRITE_FORBIDDEN" if is_channel(chat.id) else "PEER_ID_INVALID")

    def check_chat(self, sender: Account, chat: Chat) -> None:
        """Whether an account may write to a chat. Raises RpcError."""
        self.check_member(sender, chat)
        if chat.is_admin(sender.id):
            return
        if chat.kind == "channel":
            raise RpcError("CHAT_ADMIN_REQUIRED")
        if chat.write_forbidden:
            raise RpcError("CHAT_WRITE_FORBIDDEN")
        if chat.slow_mode_seconds:
            wait = self._last_post.get((chat.id, sender.id), 0) + chat.slow_mode_seconds - now()
            if wait > 0:
                raise RpcError(f"SLOWMODE_WAIT_{wait}")

    # ---- changing
    def edit(
        self, editor: Account, peer: int, message_id: int, *, text: str | None, entities: Any, markup: Any = None
    ) -> Sent:
        """Change a post. Raises RpcError as messages.editMessage does."""
        post = self.world.box_of(editor.id, peer).posts.get(message_id)
        if post is None or post.peer_for(editor.id) != peer:
            raise RpcError("MESSAGE_ID_INVALID")
        chat = self.world.chats.get(peer)
        may = post.sender_id == editor.id or (post.as_channel and chat is not None and chat.is_admin(editor.id))
        if not may or post.action is not None or post.forward is not None:
            raise RpcError("MESSAGE_AUTHOR_REQUIRED")
        if text is None:
            kept, found = post.text, post.entities
        else:
            kept, found = texts.clean(text, entities, caption=bool(post.file_id))
        same = kept == post.text and _bytes_of(found) == _bytes_of(post.entities)
        if same and _bytes_of([markup]) == _bytes_of([post.markup]):
            raise RpcError("MESSAGE_NOT_MODIFIED")
        post.text, post.entities, post.markup, post.edit_date = kept, found, markup, now()
        self.world.save_post(post)
        boxes = [self.world.box(owner) for owner in post.copies]
        return Sent(post, [self._step(box, box.step("edit", post.uid)) for box in boxes])

    def delete(
        self, account: Account, ids: Iterable[int], *, channel: Chat | None = None, revoke: bool
    ) -> list[Change]:
        """Delete posts by their ids in the account's box, or in a channel's. Unknown ids are passed over, as Telegram does."""
        box = self.world.box(account.id if channel is None else channel.id)
        gone: dict[int, list[int]] = {}
        for message_id in ids:
            post = box.posts.get(message_id)
            if post is None:
                continue
            for owner in self._deletable(account, box, post, revoke=revoke):
                held = self.world.box(owner)
                copy = post.copies[owner]
                held.drop(copy)
                self.world.storage.delete("copies", owner, copy)
                gone.setdefault(owner, []).append(copy)
        boxes = [(self.world.box(owner), copies) for owner, copies in gone.items()]
        return [self._step(held, held.step("delete", copies, len(copies))) for held, copies in boxes]

    def read(self, reader: Account, peer: int, max_id: int) -> list[Change]:
        """Mark the posts of a private chat or basic group as read up to an id; the other side's box learns of it."""
        box = self.world.box(reader.id)
        dialog = box.dialog(peer)
        upto = bisect_right(dialog.ids, max_id or box.last_id)
        newest = next((i for i in reversed(dialog.ids[:upto]) if box.posts[i].sender_id != reader.id), 0)
        if newest <= dialog.read_in:
            return []
        dialog.read_in = newest
        self.world.save_dialog(box, peer, dialog)
        changes = [self._step(box, box.step("read_in", [peer, newest]))]
        if peer > 0 and (twin := box.posts[newest].copies.get(peer)) is not None:
            other = self.world.box(peer)
            their = other.dialog(reader.id)
            their.read_out = max(their.read_out, twin)
            self.world.save_dialog(other, reader.id, their)
            changes.append(self._step(other, other.step("read_out", [reader.id, twin])))
        return changes

    # ---- who sees what
    def visible(self, account: Account, post: Post) -> bool:
        """Whether a bot in privacy mode, or anybody else, gets to see a post of a group."""
        if not account.is_bot or not account.privacy_mode or post.target > 0 or post.sender_id == account.id:
            return True
        chat = self.world.chats.get(post.target)
        if chat is None or chat.kind == "channel" or chat.is_admin(account.id) or post.action is not None:
            return True
        if account.id in post.mentions:
            return True
        if texts.is_command(post.text) and not texts.names_in(post.text, post.entities[:1]):
            return True
        replied = self.world.posts.get(post.reply_to)
        return replied is not None and replied.sender_id == account.id

    # ---- inside
    def _place(self, post: Post, chat: Chat | None, draft: Draft) -> None:
        box = self.world.box_of(post.sender_id, post.target)
        if chat is not None and chat.kind == "supergroup":
            replied, post.top = place(box, chat, draft.reply_to, draft.top)
        elif draft.reply_to:
            replied = box.posts.get(draft.reply_to)
            if replied is None:
                raise RpcError("REPLY_MESSAGE_ID_INVALID")
        else:
            return
        post.reply_to = 0 if replied is None else replied.uid

    def _discussed(self, post: Post, channel: Chat) -> Post:
        """The copy of a channel's post in the group where it is discussed."""
        copy = Post(self.world.next_uid(), post.sender_id, channel.linked or 0, post.date, post.text)
        copy.entities, copy.author = list(post.entities), channel.id
        message_id = post.copies[channel.id]
        copy.forward = types.MessageFwdHeader(
            date=post.date,
            from_id=to_peer(channel.id),
            channel_post=message_id,
            saved_from_peer=to_peer(channel.id),
            saved_from_msg_id=message_id,
        )
        return copy

    def _receivers(self, post: Post, also: Iterable[int]) -> list[int]:
        if post.target > 0:
            return [post.sender_id] if post.target == post.sender_id else [post.target, post.sender_id]
        if is_channel(post.target):
            return [post.target]
        owners = dict.fromkeys([*self.world.chats[post.target].members, *also])
        return [owner for owner in owners if self.visible(self.world.account(owner), post)]

    def _deletable(self, account: Account, box: Box, post: Post, *, revoke: bool) -> list[int]:
        if is_channel(box.owner):
            chat = self.world.chat(box.owner)
            if post.sender_id != account.id and not chat.is_admin(account.id):
                raise RpcError("MESSAGE_DELETE_FORBIDDEN")
            return [box.owner]
        if not revoke:
            return [account.id]
        if post.target < 0 and post.sender_id != account.id and not self.world.chat(post.target).is_admin(account.id):
            raise RpcError("MESSAGE_DELETE_FORBIDDEN")
        return list(post.copies)

    def _mentioned(self, text: str, entities: list[Any]) -> set[int]:
        if not entities:
            return set()
        found = {self.world.named(name) for name in texts.names_in(text, entities)}
        by_id = {entity.user_id for entity in entities if isinstance(entity, types.MessageEntityMentionName)}
        return {peer for peer in found | by_id if peer is not None and peer > 0}

    def _step(self, box: Box, entry: LogEntry) -> Change:
        self.world.save_step(box, entry)
        return Change(box, entry)


def _bytes_of(items: list[Any]) -> bytes:
    return b"".join(b"" if item is None else bytes(item) for item in items)
