"""Admin routes of chats and messages: make groups, let people in, write as somebody, look into anybody's chat.

Messages sent here obey the same rules as those of clients; it must never show one account's messages as another's.
"""

from typing import Any

from aiohttp import web
from pydantic import Field

from botfleet_simulator.telegram.admin import views
from botfleet_simulator.telegram.admin.accounts import Pts
from botfleet_simulator.telegram.admin.media import NewMedia, kept
from botfleet_simulator.telegram.domain import Account, Box, Chat, ChatKind, Post, is_channel
from botfleet_simulator.telegram.messaging import Draft
from botfleet_simulator.telegram.refs import account_of, chat_of, peer_of
from botfleet_simulator.telegram.server import Server
from botfleet_simulator.telegram.session import random_id
from botfleet_simulator.web import Body, ProblemError, flag, number, patience, poll, read

LOOK_PAUSE_SECONDS = 0.01


class NewGroup(Body):
    """A chat to make."""

    title: str = Field(min_length=1)
    kind: ChatKind = "basic"
    owner: int | str
    members: list[int | str] = Field(default_factory=list)
    admins: list[int | str] = Field(default_factory=list)
    username: str | None = None
    id: int | None = Field(default=None, gt=0)
    forum: bool = False


class ChatChange(Body):
    """What may be changed about a chat."""

    title: str | None = None
    slow_mode_seconds: int | None = Field(default=None, ge=0)
    write_forbidden: bool | None = None


class WhichAccount(Body):
    """An account, and whether it is to be an admin."""

    account: int | str
    value: bool = True


class NewMessage(Body):
    """A message to send as somebody; `media` together are an album, and the text is the caption of the first."""

    sender: int | str
    to: int | str
    text: str = ""
    reply_to: int | None = None
    topic: int | None = None
    random_id: int | None = None
    media: list[NewMedia] = Field(default_factory=list, max_length=10)


class Edit(Body):
    """A message to change as somebody."""

    account: int | str
    peer: int | str
    id: int
    text: str


class Deletion(Body):
    """Messages to delete as somebody."""

    account: int | str
    peer: int | str
    ids: list[int]
    revoke: bool = True


class Routes:
    """Routes of chats and messages."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._world = server.world

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/chats", self._all)
        app.router.add_post("/groups", self._new_group)
        app.router.add_get("/chats/{ref}", self._one)
        app.router.add_patch("/chats/{ref}", self._change)
        app.router.add_post("/chats/{ref}/members", self._add_member)
        app.router.add_delete("/chats/{ref}/members/{account}", self._remove_member)
        app.router.add_put("/chats/{ref}/admins", self._set_admin)
        app.router.add_post("/chats/{ref}/migrate", self._migrate)
        app.router.add_put("/chats/{ref}/pts", self._set_pts)
        app.router.add_post("/messages", self._send)
        app.router.add_patch("/messages", self._edit)
        app.router.add_delete("/messages", self._delete)
        app.router.add_get("/messages", self._messages)
        app.router.add_get("/wait/messages", self._wait_messages)

    def _chat(self, request: web.Request) -> Chat:
        return chat_of(self._world, request.match_info["ref"])

    def _owner(self, chat: Chat) -> Account:
        return self._world.account(chat.creator_id or next(iter(chat.members)))

    # ---- chats
    async def _all(self, _: web.Request) -> web.Response:
        return web.json_response([views.chat(chat) for _, chat in sorted(self._world.chats.items())])

    async def _one(self, request: web.Request) -> web.Response:
        return web.json_response(views.chat(self._chat(request)))

    async def _new_group(self, request: web.Request) -> web.Response:
        new = await read(request, NewGroup)
        if new.forum and new.kind != "supergroup":
            raise ProblemError(422, "forum: only a supergroup can be one")
        members = {account_of(self._world, ref).id: account_of(self._world, ref) for ref in (*new.members, *new.admins)}
        chat, _ = self._server.manage.create(
            new.kind,
            new.title,
            account_of(self._world, new.owner),
            members.values(),
            bare=new.id,
            username=new.username,
        )
        for ref in new.admins:
            self._server.manage.set_admin(chat, account_of(self._world, ref), admin=True)
        if new.forum:
            self._server.manage.set_forum(chat, forum=True)
        return web.json_response(views.chat(chat), status=201)

    async def _change(self, request: web.Request) -> web.Response:
        chat, change = self._chat(request), await read(request, ChatChange)
        if change.title is not None:
            self._server.manage.set_title(chat, change.title, self._owner(chat))
        if change.slow_mode_seconds is not None:
            chat.slow_mode_seconds = change.slow_mode_seconds
        if change.write_forbidden is not None:
            chat.write_forbidden = change.write_forbidden
        self._world.save_chat(chat)
        return web.json_response(views.chat(chat))

    async def _add_member(self, request: web.Request) -> web.Response:
        chat, who = self._chat(request), await read(request, WhichAccount)
        self._server.manage.add_member(chat, account_of(self._world, who.account), self._owner(chat))
        return web.json_response(views.chat(chat))

    async def _remove_member(self, request: web.Request) -> web.Response:
        chat = self._chat(request)
        account = account_of(self._world, request.match_info["account"])
        self._server.manage.remove_member(chat, account, self._owner(chat))
        return web.json_response(views.chat(chat))

    async def _set_admin(self, request: web.Request) -> web.Response:
        chat, who = self._chat(request), await read(request, WhichAccount)
        self._server.manage.set_admin(chat, account_of(self._world, who.account), admin=who.value)
        return web.json_response(views.chat(chat))

    async def _migrate(self, request: web.Request) -> web.Response:
        chat = self._chat(request)
        if chat.kind != "basic" or chat.migrated_to is not None:
            raise ProblemError(409, "only a basic group that was not migrated yet becomes a supergroup")
        return web.json_response(views.chat(self._server.manage.migrate(chat)), status=201)

    async def _set_pts(self, request: web.Request) -> web.Response:
        chat, wanted = self._chat(request), await read(request, Pts)
        if not is_channel(chat.id):
            raise ProblemError(409, "a basic group has no pts of its own")
        self._world.rewind(self._world.box(chat.id), wanted.pts)
        return web.json_response({"pts": wanted.pts})

    # ---- messages
    async def _send(self, request: web.Request) -> web.Response:
        new = await read(request, NewMessage)
        sender, target = account_of(self._world, new.sender), peer_of(self._world, new.to)
        together = abs(random_id()) if len(new.media) > 1 else 0
        files = [kept(self._server.files, one).id for one in new.media] or [0]
        posts = []
        for place, file_id in enumerate(files):
            text, number = (new.text, new.random_id) if place == 0 else ("", None)
            draft = Draft(
                text,
                number or random_id(),
                reply_to=new.reply_to or new.topic or 0,
                top=new.topic or 0,
                file_id=file_id,
                grouped_id=together,
            )
            sent = self._server.messaging.send(sender, target, draft)
            self._server.delivery.sent(sent)
            posts.append(sent.post)
        return web.json_response(self._view(sender, posts[0]), status=201)

    async def _edit(self, request: web.Request) -> web.Response:
        edit = await read(request, Edit)
        account, peer = account_of(self._world, edit.account), peer_of(self._world, edit.peer)
        sent = self._server.messaging.edit(account, peer, edit.id, text=edit.text, entities=None)
        self._server.delivery.announce(sent.changes)
        return web.json_response(self._view(account, sent.post))

    async def _delete(self, request: web.Request) -> web.Response:
        deletion = await read(request, Deletion)
        account, peer = account_of(self._world, deletion.account), peer_of(self._world, deletion.peer)
        channel = self._world.chat(peer) if is_channel(peer) else None
        changes = self._server.messaging.delete(account, deletion.ids, channel=channel, revoke=deletion.revoke)
        self._server.delivery.announce(changes)
        return web.json_response({"deleted": sum(entry.count for _, entry in changes)})

    async def _messages(self, request: web.Request) -> web.Response:
        return web.json_response(self._look(request)[: number(request, "limit", 10_000)])

    async def _wait_messages(self, request: web.Request) -> web.Response:
        count = number(request, "count", 1)
        return await poll(
            self._server.changes,
            lambda: self._look(request),
            lambda found: len(found) >= count,
            patience(request),
            pause=LOOK_PAUSE_SECONDS,
        )

    def _look(self, request: web.Request) -> list[dict[str, Any]]:
        if "account" not in request.query:
            raise ProblemError(422, "account is missing: whose messages?")
        account = account_of(self._world, request.query["account"])
        wanted = request.query.get("peer")
        after, incoming = number(request, "after_id", 0), flag(request, "incoming")
        contains = request.query.get("contains", "")
        if wanted is None:
            box = self._world.box(account.id)
            ids = sorted(box.posts)
        else:
            peer = peer_of(self._world, wanted)
            box = self._world.box_of(account.id, peer)
            ids = box.dialog(peer).ids

        def fits(post: Post) -> bool:
            return contains in post.text and (incoming is None or incoming != (post.sender_id == account.id))

        pts = box.log.pts_by_post()
        posts = [box.posts[message_id] for message_id in ids if message_id > after]
        return [views.message(self._server, account.id, box, p, pts=pts.get(p.uid)) for p in posts if fits(p)]

    def _view(self, account: Account, post: Post) -> dict[str, Any]:
        box: Box = self._world.box_of(account.id, post.peer_for(account.id))
        entry = box.log.of_post(post.uid)
        return views.message(self._server, account.id, box, post, pts=None if entry is None else entry.pts)
