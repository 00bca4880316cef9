"""Admin routes of topics, and of the group in which a channel's posts are discussed.

It must never write a message by itself: what is opened is told as Telegram tells it.
"""

from aiohttp import web
from pydantic import Field

from botfleet_simulator.telegram.admin import views
from botfleet_simulator.telegram.refs import account_of, chat_of
from botfleet_simulator.telegram.server import Server
from botfleet_simulator.web import Body, ProblemError, read


class NewTopic(Body):
    """A topic to open; by the owner, if nobody is named."""

    title: str = Field(min_length=1)
    account: int | str | None = None


class Discussion(Body):
    """The supergroup in which a channel's posts are discussed."""

    group: int | str


class Routes:
    """Routes of topics and discussions."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_post("/chats/{ref}/topics", self._new_topic)
        app.router.add_put("/chats/{ref}/discussion", self._discuss)

    async def _new_topic(self, request: web.Request) -> web.Response:
        world, new = self._server.world, await read(request, NewTopic)
        chat = chat_of(world, request.match_info["ref"])
        if not chat.forum:
            raise ProblemError(409, "it is no forum: make it with forum=true")
        who = account_of(world, chat.creator_id if new.account is None else new.account)
        sent = self._server.manage.create_topic(chat, new.title, who)
        return web.json_response({"id": sent.post.copies[chat.id]}, status=201)

    async def _discuss(self, request: web.Request) -> web.Response:
        world, wanted = self._server.world, await read(request, Discussion)
        channel, group = chat_of(world, request.match_info["ref"]), chat_of(world, wanted.group)
        if (channel.kind, group.kind) != ("channel", "supergroup"):
            raise ProblemError(409, "posts of a channel are discussed in a supergroup")
        self._server.manage.link(channel, group)
        return web.json_response(views.chat(channel))
