"""Updates to the clients that are connected: who is told of a step, in which form.

It must never keep anything for later: who is not connected asks for the difference.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from telethon.tl import types

from botfleet_simulator.telegram.domain import Account, Box, LogEntry, Post, is_channel
from botfleet_simulator.telegram.messaging import Change, Sent
from botfleet_simulator.telegram.render import View
from botfleet_simulator.telegram.world import now

if TYPE_CHECKING:
    from botfleet_simulator.telegram.connection import Connection
    from botfleet_simulator.telegram.server import Server


class Delivery:
    """Pushes of one server."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._world = server.world

    def sent(self, sent: Sent, origin: "Connection | None" = None) -> None:
        """Tell of a new post; the connection that sent it has its answer."""
        self.announce(sent.changes, origin)

    def announce(self, changes: Iterable[Change], origin: "Connection | None" = None) -> None:
        """Tell everybody concerned of steps."""
        for box, entry in changes:
            box.log.trim(2 * self._server.settings.log_steps_kept)
            if is_channel(box.owner):
                self._to_channel(box, entry, origin)
            else:
                self._to_account(box, entry, origin)
        self._server.moved()

    def tell(self, account_id: int, make: Callable[[View], Any], origin: "Connection | None" = None) -> None:
        """Tell one account of something that moves no pts; `make` gives the update."""
        connections = self._open(account_id, origin)
        if connections:
            view = View(self._world, self._world.account(account_id))
            update = make(view)
            self._push(connections, view, update)

    def tell_typing(self, account_id: int, update: Any) -> None:
        """Tell one account of something short-lived, in the shortest form."""
        body = bytes(types.UpdateShort(update, now()))
        for connection in self._open(account_id, None):
            connection.send(body, answer=False)

    def _to_account(self, box: Box, entry: LogEntry, origin: "Connection | None") -> None:
        connections = self._open(box.owner, origin)
        if not connections:
            return
        view = View(self._world, self._world.account(box.owner))
        if entry.kind == "new":
            post = self._world.posts[entry.data]
            short = [connection for connection in connections if self._shortens(view.me, post, connection)]
            if short:
                body = bytes(view.short(box, entry, post))
                for connection in short:
                    connection.send(body, answer=False)
                connections = [connection for connection in connections if connection not in short]
        if connections and (update := view.update(box, entry)) is not None:
            self._push(connections, view, update)

    def _to_channel(self, box: Box, entry: LogEntry, origin: "Connection | None") -> None:
        chat = self._world.chat(box.owner)
        post = self._world.posts.get(entry.data) if entry.kind in {"new", "edit"} else None
        for account_id in list(chat.members):
            connections = self._open(account_id, origin)
            if connections:
                self._show(connections, self._world.account(account_id), box, entry, post)

    def _show(
        self, connections: "list[Connection]", account: Account, box: Box, entry: LogEntry, post: Post | None
    ) -> None:
        if post is not None and not self._server.messaging.visible(account, post):
            return
        view = View(self._world, account)
        view.min_strangers = self._server.settings.min_users
        view.note(box.owner)
        update = view.update(box, entry)
        if update is not None:
            self._push(connections, view, update)

    def _shortens(self, reader: Account, post: Post, connection: "Connection") -> bool:
        wanted = self._server.settings.short_updates
        if not wanted or post.action is not None or post.markup is not None or post.forward is not None:
            return False
        if post.file_id:
            return False
        if wanted == "always":
            return True
        if reader.is_bot and post.target < 0:
            return False
        known = set() if connection.session is None else connection.session.known
        return post.peer_for(reader.id) in known and post.sender_id in known | {reader.id}

    def _open(self, account_id: int, origin: "Connection | None") -> "list[Connection]":
        connections = [c for c in self._server.live(account_id) if c is not origin and c.receiving]
        if connections and self._server.faults.take("silence", account=str(account_id)):
            return []
        return connections

    def _push(self, connections: "list[Connection]", view: View, update: Any) -> None:
        body = bytes(view.updates([update]))
        for connection in connections:
            if connection.session is not None:
                connection.session.known.update(view.shown())
            connection.send(body, answer=False)
