"""Requests of the API: from a connection through the faults to a method and back.

Methods register themselves here; it must never contain one.
"""

import asyncio
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from telethon.tl import functions, types

from botfleet_simulator import log
from botfleet_simulator.faults import Rule
from botfleet_simulator.telegram.domain import Account
from botfleet_simulator.telegram.errors import RpcError, code_of
from botfleet_simulator.telegram.render import View
from botfleet_simulator.telegram.session import KeyRecord
from botfleet_simulator.telegram.settings import ON_CALLS
from botfleet_simulator.telegram.world import AbsentError

if TYPE_CHECKING:
    from botfleet_simulator.telegram.connection import Connection
    from botfleet_simulator.telegram.server import Server

TRUE = struct.pack("<I", 0x997275B5)  # boolTrue
HELD_LIMIT = 10_000
_WRAPPERS = (
    functions.InvokeWithLayerRequest,
    functions.InitConnectionRequest,
    functions.InvokeWithoutUpdatesRequest,
    functions.InvokeAfterMsgRequest,
    functions.InvokeAfterMsgsRequest,
    functions.InvokeWithMessagesRangeRequest,
    functions.InvokeWithTakeoutRequest,
)
_log = log.get("rpc")


@dataclass(slots=True)
class Call:
    """A request that came, and what became of it."""

    seq: int
    time: float
    method: str
    account_id: int | None
    key_id: str
    random_id: int | None
    outcome: str = "running"


class Method(NamedTuple):
    """A method of the API."""

    handle: Callable[["Context", Any], Any]
    public: bool
    bots: bool
    people: bool


METHODS: dict[type, Method] = {}


def method(
    request: type, *, public: bool = False, bots: bool = True, people: bool = True
) -> Callable[[Callable[["Context", Any], Any]], Callable[["Context", Any], Any]]:
    """Register a function as the method for a request type. `public`: also without login; `bots`, `people`: for whom."""

    def register(handle: Callable[["Context", Any], Any]) -> Callable[["Context", Any], Any]:
        METHODS[request] = Method(handle, public, bots, people)
        return handle

    return register


_NAMES: dict[type, str] = {}


def method_name(request: type) -> str:
    """The TL name of a request type: messages.sendMessage."""
    found = _NAMES.get(request)
    if found is None:
        space = request.__module__.rpartition(".")[2]
        name = request.__name__.removesuffix("Request")
        name = name[:1].lower() + name[1:]
        found = _NAMES[request] = name if space == "functions" else f"{space}.{name}"
    return found


class Context:
    """What a method has at hand: who calls, and the server."""

    __slots__ = ("_me", "connection", "key", "server", "world")

    def __init__(self, server: "Server", connection: "Connection", key: KeyRecord, me: Account | None) -> None:
        self.server = server
        self.world = server.world
        self.connection = connection
        self.key = key
        self._me = me

    @property
    def me(self) -> Account:
        """The account that calls. Raises AUTH_KEY_UNREGISTERED when nobody is logged in."""
        if self._me is None:
            raise RpcError("AUTH_KEY_UNREGISTERED")
        return self._me

    def view(self) -> View:
        """The world through the caller's eyes."""
        session = self.connection.session
        return View(self.world, self.me, None if session is None else session.known)


class Dispatcher:
    """Answers the requests of all connections of one server."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._tasks: set[asyncio.Task[None]] = set()

    def request(self, connection: "Connection", message_id: int, item: Any) -> None:
        """Answer one request, now, or later when a fault says so."""
        key = connection.key
        if key is None:
            return
        request = self._unwrap(connection, key, item)
        name = method_name(type(request))
        call = Call(self._server.calls.next_seq(), time.time(), name, key.account_id, key.name, _random_id(request))
        self._server.calls.add(call)
        rule = self._server.faults.take(*ON_CALLS, method=name.casefold(), account=str(key.account_id))
        if rule is None:
            connection.answer(message_id, self._execute(connection, key, request, call))
        elif len(self._tasks) < HELD_LIMIT:
            task = asyncio.get_running_loop().create_task(self._faulty(connection, message_id, request, call, rule))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Drop what is delayed or held."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _faulty(self, connection: "Connection", message_id: int, request: Any, call: Call, rule: Rule) -> None:
        key, options = connection.key, rule.options
        if key is None:
            return
        if rule.effect == "cut":
            self._outcome(call, "cut")
            connection.cut()
            return
        if rule.effect == "error":
            message = str(options.get("message", "INTERNAL"))
            self._outcome(call, message)
            connection.answer_error(message_id, int(options.get("code") or code_of(message)), message)
            return
        if rule.effect in {"delay", "hold"}:
            connection.send(bytes(types.MsgsAck([message_id])), content=False)
        if rule.effect == "delay":
            await asyncio.sleep(float(options.get("delay", 1.0)))
        before = bool(options.get("before"))
        if rule.effect == "hold" and before:
            self._outcome(call, "held")
            await rule.released.wait()
        body = self._execute(connection, key, request, call)
        if rule.effect == "hold" and not before:
            self._outcome(call, "held")
            await rule.released.wait()
            self._outcome(call, "ok")
        if rule.effect == "drop_answer":
            self._outcome(call, "dropped")
            self._server.storage.commit()
            if options.get("cut"):
                connection.cut()
            return
        connection.answer(message_id, body)

    def _outcome(self, call: Call, outcome: str) -> None:
        call.outcome = outcome
        self._server.calls.pulse.beat()

    def _execute(self, connection: "Connection", key: KeyRecord, request: Any, call: Call) -> bytes:
        try:
            result = self._guarded(connection, key, request, call)
        except RpcError as error:
            call.outcome = error.message
            _log.debug("rpc.error", method=call.method, account=call.account_id, error=error.message)
            return bytes(types.RpcError(error.code, error.message))
        call.outcome = "ok"
        _log.debug("rpc.ok", method=call.method, account=call.account_id)
        return result

    def _guarded(self, connection: "Connection", key: KeyRecord, request: Any, call: Call) -> bytes:
        """Run a method; a mistake of the simulator becomes INTERNAL: cut off, a client would ask again for ever."""
        try:
            result = self._run(connection, key, request)
            return result if isinstance(result, bytes) else bytes(result)
        except RpcError:
            raise
        except AbsentError:
            raise RpcError("PEER_ID_INVALID") from None
        except Exception as error:
            _log.exception("rpc.failed", method=call.method, account=call.account_id)
            raise RpcError("INTERNAL", 500) from error

    def _run(self, connection: "Connection", key: KeyRecord, request: Any) -> Any:
        if key.error is not None:
            raise RpcError(key.error)
        known = METHODS.get(type(request))
        if known is None:
            raise RpcError("METHOD_NOT_IMPLEMENTED", 400)
        me = None if key.account_id is None else self._server.world.accounts.get(key.account_id)
        if me is None:
            if not known.public:
                raise RpcError("SESSION_PASSWORD_NEEDED" if key.awaiting_password else "AUTH_KEY_UNREGISTERED")
        elif me.banned or me.deactivated:
            raise RpcError("USER_DEACTIVATED_BAN" if me.banned else "USER_DEACTIVATED")
        elif me.is_bot and not known.bots:
            raise RpcError("BOT_METHOD_INVALID")
        elif not me.is_bot and not known.people:
            raise RpcError("USER_BOT_REQUIRED")
        return known.handle(Context(self._server, connection, key, me), request)

    def _unwrap(self, connection: "Connection", key: KeyRecord, item: Any) -> Any:
        silent = False
        while isinstance(item, _WRAPPERS):
            if isinstance(item, functions.InvokeWithoutUpdatesRequest):
                silent = True
            elif isinstance(item, functions.InvokeWithLayerRequest):
                key.layer = item.layer
            elif isinstance(item, functions.InitConnectionRequest):
                key.api_id, key.device_model = item.api_id, item.device_model
                key.system_version, key.app_version = item.system_version, item.app_version
                self._server.save_key(key)
            item = item.query
        if not silent and connection.session is not None and not connection.session.receiving:
            connection.session.receiving = True
            self._server.changes.beat()
        return item


def _random_id(request: Any) -> int | None:
    value = getattr(request, "random_id", None)
    return value if isinstance(value, int) else None
