"""All accounts, chats, boxes and posts of one simulated Telegram, found by id, name, phone or token, and kept on disk.

The only place that adds and saves them; it must never talk to a client or decide who may do what.
"""

import secrets
import time
from collections.abc import Container
from itertools import count
from typing import Literal

from botfleet_simulator.telegram.documents import (
    dump_account,
    dump_chat,
    dump_post,
    load_account,
    load_chat,
    load_post,
)
from botfleet_simulator.telegram.domain import (
    Account,
    AccountKind,
    Box,
    Chat,
    ChatKind,
    Dialog,
    LogEntry,
    Member,
    Post,
    bare_id,
    is_channel,
    mark_chat,
)
from botfleet_simulator.telegram.files import Files
from botfleet_simulator.telegram.storage import Storage

FIRST_ID = {"person": 1_000_001, "bot": 5_000_000_001, "basic": 4_001, "supergroup": 2_000_000_001}


class TakenError(ValueError):
    """An id, a username, a phone number or a token belongs to somebody else."""


class AbsentError(LookupError):
    """No such account or chat."""


def now() -> int:
    """Telegram's time: whole seconds."""
    return int(time.time())


class World:
    """The state of the simulated Telegram, loaded from its storage when made."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.files = Files(storage)
        self.accounts: dict[int, Account] = {}
        self.chats: dict[int, Chat] = {}
        self.boxes: dict[int, Box] = {}
        self.posts: dict[int, Post] = {}
        self.by_random_id: dict[tuple[int, int], Post] = {}
        self.started: set[tuple[int, int]] = set()
        self._by_name: dict[str, int] = {}
        self._by_phone: dict[str, int] = {}
        self._next_uid = 1
        self._load()

    # ---- finding
    def account(self, account_id: int) -> Account:
        """The account with that id. Raises AbsentError."""
        try:
            return self.accounts[account_id]
        except KeyError:
            raise AbsentError(f"no account {account_id}") from None

    def chat(self, peer: int) -> Chat:
        """The chat with that marked id. Raises AbsentError."""
        try:
            return self.chats[peer]
        except KeyError:
            raise AbsentError(f"no chat {peer}") from None

    def named(self, username: str) -> int | None:
        """The marked id of the account or chat with that username."""
        return self._by_name.get(username.lstrip("@").casefold())

    def of_phone(self, phone: str) -> Account | None:
        """The person with that phone number, in any spelling."""
        found = self._by_phone.get(digits(phone))
        return None if found is None else self.accounts[found]

    def of_token(self, token: str) -> Account | None:
        """The bot that this is the current token of."""
        head = token.partition(":")[0]
        bot = self.accounts.get(int(head)) if head.isdecimal() else None
        return bot if bot is not None and bot.token is not None and secrets.compare_digest(bot.token, token) else None

    def box(self, owner: int) -> Box:
        """The box of an account or a channel, made when there was none."""
        found = self.boxes.get(owner)
        if found is None:
            found = self.boxes[owner] = Box(owner)
            self.save_box(found)
        return found

    def box_of(self, viewer_id: int, peer: int) -> Box:
        """The box in which an account finds the posts of a chat."""
        return self.box(peer if is_channel(peer) else viewer_id)

    # ---- adding
    def add_account(
        self,
        kind: AccountKind,
        first_name: str,
        *,
        account_id: int | None = None,
        last_name: str | None = None,
        username: str | None = None,
        phone: str | None = None,
        token: str | None = None,
    ) -> Account:
        """A new account. Raises TakenError."""
        if account_id is None:
            account_id = self._free_id(kind)
        if account_id in self.accounts:
            raise TakenError(f"the id {account_id} is taken")
        if phone is not None and digits(phone) in self._by_phone:
            raise TakenError("the phone number is taken")
        if kind == "bot" and token is None:
            token = new_token(account_id)
        account = Account(account_id, kind, first_name, last_name, phone=phone and digits(phone), token=token)
        self._claim_name(account_id, None, username)
        account.username = username and username.lstrip("@")
        self.accounts[account_id] = account
        if account.phone:
            self._by_phone[account.phone] = account_id
        self.save_account(account)
        self.box(account_id)
        return account

    def add_chat(
        self, kind: ChatKind, title: str, creator_id: int, *, bare: int | None = None, username: str | None = None
    ) -> Chat:
        """A new chat with its creator in it. Raises TakenError."""
        peer = mark_chat(self._free_id("basic" if kind == "basic" else "supergroup") if bare is None else bare, kind)
        if peer in self.chats:
            raise TakenError(f"the id {peer} is taken")
        self._claim_name(peer, None, username)
        chat = Chat(peer, kind, title, now(), username=username and username.lstrip("@"))
        chat.members[creator_id] = Member(creator_id, "creator", creator_id, now())
        self.chats[peer] = chat
        self.save_chat(chat)
        if is_channel(peer):
            self.box(peer)
        return chat

    def rename(self, owner: Account | Chat, username: str | None) -> None:
        """Give an account or chat another username, or none. Raises TakenError."""
        self._claim_name(owner.id, owner.username, username)
        owner.username = username.lstrip("@") if username else None

    def add_post(self, post: Post) -> None:
        """Take in a post that got its uid from `next_uid`."""
        self.posts[post.uid] = post
        if post.random_id:
            self.by_random_id[post.sender_id, post.random_id] = post
        self._note_start(post)

    def next_uid(self) -> int:
        """A number that no other post has."""
        self._next_uid += 1
        return self._next_uid - 1

    def rewind(self, box: Box, pts: int) -> None:
        """Set a sequence back, as on a server that was restored from a backup: what came later is in no difference."""
        box.pts = pts
        box.log.cut_after(pts)
        self.storage.delete("log_after", box.owner, pts)
        self.save_box(box)

    # ---- saving
    def save_account(self, account: Account) -> None:
        """Write what changed in an account."""
        self.storage.put("accounts", account.id, account.id, dump_account(account))

    def save_chat(self, chat: Chat) -> None:
        """Write what changed in a chat."""
        self.storage.put("chats", chat.id, chat.id, dump_chat(chat))

    def save_post(self, post: Post) -> None:
        """Write what changed in a post."""
        self.storage.put("posts", post.uid, post.uid, post.sender_id, post.target, dump_post(post))

    def save_copy(self, box: Box, message_id: int, post: Post) -> None:
        """Write that a box has a post under an id."""
        self.storage.put("copies", (box.owner, message_id), box.owner, message_id, post.uid)

    def save_box(self, box: Box) -> None:
        """Write how far a box is."""
        self.storage.put("boxes", box.owner, box.owner, box.pts, box.last_id, box.log.floor)

    def save_dialog(self, box: Box, peer: int, dialog: Dialog) -> None:
        """Write how far a dialog was read."""
        self.storage.put("dialogs", (box.owner, peer), box.owner, peer, dialog.read_in, dialog.read_out)

    def save_step(self, box: Box, entry: LogEntry) -> None:
        """Write a step of a box's pts sequence, and how far the box is."""
        data = entry.data if isinstance(entry.data, int) else ",".join(map(str, entry.data))
        self.storage.put("log", (box.owner, entry.pts), box.owner, entry.pts, entry.count, entry.kind, str(data))
        self.save_box(box)

    # ---- inside
    def _claim_name(self, peer: int, old: str | None, new: str | None) -> None:
        wanted = new.lstrip("@").casefold() if new else None
        if wanted is not None and self._by_name.get(wanted, peer) != peer:
            raise TakenError(f"the username {wanted} is taken")
        if old is not None:
            self._by_name.pop(old.casefold(), None)
        if wanted is not None:
            self._by_name[wanted] = peer

    def _free_id(self, what: Literal["person", "bot", "basic", "supergroup"]) -> int:
        taken: Container[int] = self.accounts if what in {"person", "bot"} else {bare_id(peer) for peer in self.chats}
        return next(candidate for candidate in count(FIRST_ID[what]) if candidate not in taken)

    def _note_start(self, post: Post) -> None:
        if post.target > 0 and (sender := self.accounts.get(post.sender_id)) and not sender.is_bot:
            self.started.add((post.target, post.sender_id))

    def _load(self) -> None:
        for data in self.storage.documents("accounts"):
            account = load_account(data)
            self.accounts[account.id] = account
            self._claim_name(account.id, None, account.username)
            if account.phone:
                self._by_phone[account.phone] = account.id
        for data in self.storage.documents("chats"):
            chat = load_chat(data)
            self.chats[chat.id] = chat
            self._claim_name(chat.id, None, chat.username)
        for owner, pts, last_id, floor in self.storage.rows("select owner, pts, last_id, floor from boxes"):
            box = self.boxes[owner] = Box(owner, pts, last_id)
            box.log.floor = floor
        for row in self.storage.rows("select uid, sender_id, target, data from posts order by uid"):
            post = load_post(*row)
            self.add_post(post)
            self._next_uid = post.uid + 1
        for owner, message_id, uid in self.storage.rows("select owner, id, uid from copies order by owner, id"):
            self.boxes[owner].place(self.posts[uid], message_id)
        for owner, peer, read_in, read_out in self.storage.rows("select owner, peer, read_in, read_out from dialogs"):
            dialog = self.boxes[owner].dialog(peer)
            dialog.read_in, dialog.read_out = read_in, read_out
        for owner, pts, steps, kind, text in self.storage.rows("select * from log order by owner, pts"):
            ids = [int(part) for part in text.split(",") if part]
            self.boxes[owner].log.append(LogEntry(pts, steps, kind, ids[0] if kind in {"new", "edit"} else ids))


def digits(phone: str) -> str:
    """A phone number as Telegram keeps it."""
    return "".join(filter(str.isdigit, phone))


def new_token(bot_id: int) -> str:
    """A bot token as BotFather gives it."""
    return f"{bot_id}:AA{secrets.token_urlsafe(25)[:33]}"
