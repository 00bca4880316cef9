"""What a simulated Telegram consists of: accounts, chats, posts, and boxes in which posts get their ids and updates their pts.

Plain data and what follows from it alone; it must never know TL types beyond what a post carries, connections or files.

Peers are *marked* ids as Telethon writes them: a user 123, a basic group -123, a channel or supergroup -1000000000123.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any, Literal

AccountKind = Literal["bot", "person"]
ChatKind = Literal["basic", "supergroup", "channel"]
Role = Literal["creator", "admin", "member"]

CHANNEL_BASE = 1_000_000_000_000


def mark_chat(bare_id: int, kind: ChatKind) -> int:
    """The marked id of a chat."""
    return -bare_id if kind == "basic" else -(CHANNEL_BASE + bare_id)


def bare_id(peer: int) -> int:
    """The id that goes over the wire."""
    if peer > 0:
        return peer
    return -peer - CHANNEL_BASE if is_channel(peer) else -peer


def is_channel(peer: int) -> bool:
    """Whether the peer keeps its own ids and pts (channels and supergroups do)."""
    return peer < -CHANNEL_BASE


@dataclass(slots=True)
class Password:
    """A 2FA password as Telegram keeps it: salts and the SRP verifier, never the password."""

    salt1: bytes
    salt2: bytes
    verifier: int


@dataclass(slots=True)
class Account:
    """A bot or a person."""

    id: int
    kind: AccountKind
    first_name: str
    last_name: str | None = None
    username: str | None = None
    phone: str | None = None
    token: str | None = None
    token_expired: bool = False
    privacy_mode: bool = True
    password: Password | None = None
    deactivated: bool = False
    banned: bool = False
    about: str | None = None
    fixed_code: str | None = None
    blocked: set[int] = field(default_factory=set)
    commands: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_bot(self) -> bool:
        """Whether the account logs in by token."""
        return self.kind == "bot"


@dataclass(slots=True)
class Member:
    """Somebody in a chat."""

    account_id: int
    role: Role
    inviter_id: int
    date: int


@dataclass(slots=True)
class Chat:
    """A basic group, a supergroup or a channel."""

    id: int
    kind: ChatKind
    title: str
    date: int
    username: str | None = None
    members: dict[int, Member] = field(default_factory=dict)
    banned: set[int] = field(default_factory=set)
    slow_mode_seconds: int = 0
    write_forbidden: bool = False
    migrated_to: int | None = None
    migrated_from: int | None = None
    forum: bool = False
    linked: int | None = None
    about: str = ""
    version: int = 1

    def is_admin(self, account_id: int) -> bool:
        """Whether the account may do what admins do."""
        member = self.members.get(account_id)
        return member is not None and member.role != "member"

    @property
    def creator_id(self) -> int:
        """Who made the chat; 0 when he has left."""
        return next((m.account_id for m in self.members.values() if m.role == "creator"), 0)


@dataclass(slots=True)
class Post:
    """A message as all who have it share it. `copies` says under which id each box knows it.

    `top`: the id of the first message of its topic or thread, in a supergroup; `author`: the channel as which it is written.
    """

    uid: int
    sender_id: int
    target: int
    date: int
    text: str = ""
    random_id: int = 0
    entities: list[Any] = field(default_factory=list)
    markup: Any = None
    action: Any = None
    reply_to: int = 0
    top: int = 0
    author: int = 0
    forward: Any = None
    edit_date: int = 0
    silent: bool = False
    as_channel: bool = False
    file_id: int = 0
    grouped_id: int = 0
    mentions: set[int] = field(default_factory=set)
    copies: dict[int, int] = field(default_factory=dict)

    def peer_for(self, owner: int) -> int:
        """The chat in which the owner of a box sees the post."""
        return self.sender_id if self.target == owner and self.target > 0 else self.target


@dataclass(slots=True)
class Dialog:
    """One chat as one account has it: which ids are in it and how far both sides have read."""

    ids: list[int] = field(default_factory=list)
    read_in: int = 0
    read_out: int = 0


@dataclass(slots=True, frozen=True)
class LogEntry:
    """One step of a pts sequence. `data` is plain JSON: a post's uid, ids, or a peer and an id."""

    pts: int
    count: int
    kind: Literal["new", "edit", "delete", "read_in", "read_out"]
    data: Any


class UpdateLog:
    """The steps of one pts sequence that can still be asked for, oldest first."""

    def __init__(self, floor: int = 1) -> None:
        self.floor = floor
        self._pts: list[int] = []
        self._entries: list[LogEntry] = []

    def append(self, entry: LogEntry) -> None:
        """Add the newest step."""
        self._pts.append(entry.pts)
        self._entries.append(entry)

    def since(self, pts: int) -> list[LogEntry]:
        """All steps after `pts`."""
        return self._entries[bisect_right(self._pts, pts) :]

    def of_post(self, uid: int) -> LogEntry | None:
        """The step by which a post came, if it can still be asked for."""
        return next((e for e in reversed(self._entries) if e.kind == "new" and e.data == uid), None)

    def pts_by_post(self) -> dict[int, int]:
        """At which pts each post came."""
        return {entry.data: entry.pts for entry in self._entries if entry.kind == "new"}

    def cut_after(self, pts: int) -> None:
        """Forget the steps after `pts` (a server restored from a backup)."""
        keep = bisect_right(self._pts, pts)
        del self._pts[keep:], self._entries[keep:]
        self.floor = min(self.floor, pts)

    def trim(self, keep: int) -> None:
        """Forget the oldest steps, so that `keep` remain at most."""
        drop = len(self._entries) - keep
        if drop > 0:
            self.floor = self._pts[drop - 1]
            del self._pts[:drop], self._entries[:drop]

    def __len__(self) -> int:
        return len(self._entries)


class Box:
    """Where posts get ids and updates get pts: one an account (private chats and basic groups), one a channel."""

    def __init__(self, owner: int, pts: int = 1, last_id: int = 0) -> None:
        self.owner = owner
        self.pts = pts
        self.last_id = last_id
        self.posts: dict[int, Post] = {}
        self.dialogs: dict[int, Dialog] = {}
        self.log = UpdateLog(floor=pts)

    def dialog(self, peer: int) -> Dialog:
        """The dialog with a peer, made when there was none."""
        found = self.dialogs.get(peer)
        if found is None:
            found = self.dialogs[peer] = Dialog()
        return found

    def put(self, post: Post) -> int:
        """Give a post its id in this box."""
        self.last_id += 1
        self.place(post, self.last_id)
        return self.last_id

    def place(self, post: Post, message_id: int) -> None:
        """Put a post under a known id (also when state is loaded; ids come in order)."""
        self.posts[message_id] = post
        post.copies[self.owner] = message_id
        self.dialog(post.peer_for(self.owner)).ids.append(message_id)

    def drop(self, message_id: int) -> Post | None:
        """Take a post out of this box."""
        post = self.posts.pop(message_id, None)
        if post is None:
            return None
        del post.copies[self.owner]
        ids = self.dialog(post.peer_for(self.owner)).ids
        index = bisect_right(ids, message_id) - 1
        if index >= 0 and ids[index] == message_id:
            del ids[index]
        return post

    def step(
        self, kind: Literal["new", "edit", "delete", "read_in", "read_out"], data: Any, count: int = 1
    ) -> LogEntry:
        """Move pts on and write down why."""
        self.pts += count
        entry = LogEntry(self.pts, count, kind, data)
        self.log.append(entry)
        return entry

    def unread(self, peer: int) -> int:
        """How many incoming posts of a chat have not been read."""
        dialog = self.dialogs.get(peer)
        if dialog is None:
            return 0
        ids = dialog.ids[bisect_right(dialog.ids, dialog.read_in) :]
        return sum(1 for i in ids if self.posts[i].sender_id != self.owner)
