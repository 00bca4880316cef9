"""Admin routes of accounts: make, show, change, block, login codes, update state.

It must never change an account in a way that Telegram, BotFather or a user could not.
"""

from typing import Any

from aiohttp import web
from pydantic import Field
from telethon.crypto import AuthKey
from telethon.sessions import StringSession

from botfleet_simulator.telegram import srp
from botfleet_simulator.telegram.admin import views
from botfleet_simulator.telegram.domain import Account, is_channel
from botfleet_simulator.telegram.logintokens import token_of
from botfleet_simulator.telegram.methods.service import public_address
from botfleet_simulator.telegram.refs import account_of
from botfleet_simulator.telegram.seed import TOKEN_PATTERN
from botfleet_simulator.telegram.server import DC_ID, Server
from botfleet_simulator.telegram.session import new_auth_key
from botfleet_simulator.telegram.world import digits, now
from botfleet_simulator.web import Body, ProblemError, patience, read

SEQ = 1


class NewBot(Body):
    """A bot to make, as BotFather would."""

    username: str = Field(min_length=3, max_length=32)
    name: str | None = None
    id: int | None = Field(default=None, gt=0)
    token: str | None = Field(default=None, pattern=TOKEN_PATTERN)
    privacy_mode: bool = True


class NewPerson(Body):
    """A person to make."""

    phone: str
    name: str = "Person"
    last_name: str | None = None
    username: str | None = None
    password: str | None = None
    id: int | None = Field(default=None, gt=0)


class AccountChange(Body):
    """What may be changed about an account; a password of "" takes 2FA away."""

    name: str | None = None
    username: str | None = None
    password: str | None = None
    privacy_mode: bool | None = None
    deactivated: bool | None = None
    banned: bool | None = None
    token: str | None = Field(default=None, pattern=TOKEN_PATTERN)
    token_expired: bool | None = None


class Scan(Body):
    """A QR code of a login, as a camera reads it."""

    link: str


class Block(Body):
    """Who blocks whom."""

    by: int | str
    blocked: int | str


class Pts(Body):
    """Where a sequence is to stand."""

    pts: int = Field(ge=1)


class Routes:
    """Routes of accounts."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._world = server.world

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/accounts", self._all)
        app.router.add_post("/bots", self._new_bot)
        app.router.add_post("/people", self._new_person)
        app.router.add_get("/accounts/{ref}", self._one)
        app.router.add_patch("/accounts/{ref}", self._change)
        app.router.add_post("/accounts/{ref}/sessions", self._new_session)
        app.router.add_get("/accounts/{ref}/state", self._state)
        app.router.add_put("/accounts/{ref}/pts", self._set_pts)
        app.router.add_get("/codes/{phone}", self._code)
        app.router.add_get("/login-links", self._login_links)
        app.router.add_post("/accounts/{ref}/scans", self._scan)
        app.router.add_post("/blocks", self._block)
        app.router.add_delete("/blocks", self._unblock)

    def _account(self, request: web.Request) -> Account:
        return account_of(self._world, request.match_info["ref"])

    async def _all(self, _: web.Request) -> web.Response:
        return web.json_response([views.account(account) for _, account in sorted(self._world.accounts.items())])

    async def _one(self, request: web.Request) -> web.Response:
        return web.json_response(views.account(self._account(request)))

    async def _new_bot(self, request: web.Request) -> web.Response:
        new = await read(request, NewBot)
        bot_id = new.id
        if new.token is not None:
            bot_id = int(new.token.partition(":")[0])
            if new.id is not None and new.id != bot_id:
                raise ProblemError(422, "token: it must begin with the bot's id")
        bot = self._world.add_account(
            "bot", new.name or new.username, account_id=bot_id, username=new.username, token=new.token
        )
        bot.privacy_mode = new.privacy_mode
        self._world.save_account(bot)
        return web.json_response(views.account(bot), status=201)

    async def _new_person(self, request: web.Request) -> web.Response:
        new = await read(request, NewPerson)
        if not 5 <= len(digits(new.phone)) <= 15:
            raise ProblemError(422, "phone: 5 to 15 digits")
        person = self._world.add_account(
            "person", new.name, account_id=new.id, last_name=new.last_name, username=new.username, phone=new.phone
        )
        if new.password:
            person.password = srp.make(new.password)
            self._world.save_account(person)
        return web.json_response(views.account(person), status=201)

    async def _change(self, request: web.Request) -> web.Response:
        account, change = self._account(request), await read(request, AccountChange)
        given = change.model_dump(exclude_unset=True)
        if "token" in given and not str(given["token"]).startswith(f"{account.id}:"):
            raise ProblemError(422, "token: it must begin with the bot's id")
        if "username" in given:
            self._world.rename(account, given.pop("username"))
        if "password" in given:
            plain = given.pop("password")
            account.password = srp.make(plain) if plain else None
        if "name" in given:
            account.first_name = given.pop("name")
        for name, value in given.items():
            setattr(account, name, value)
        self._world.save_account(account)
        return web.json_response(views.account(account))

    async def _new_session(self, request: web.Request) -> web.Response:
        account = self._account(request)
        key = new_auth_key()
        record = self._server.add_key(key, account.id)
        session = StringSession()
        session.set_dc(DC_ID, public_address(self._server.public_host), self._server.port)
        session.auth_key = AuthKey(key.key)
        return web.json_response({"session": session.save(), "key_id": record.name}, status=201)

    async def _state(self, request: web.Request) -> web.Response:
        account = self._account(request)
        channels = {
            str(peer): self._world.box(peer).pts
            for peer, chat in self._world.chats.items()
            if is_channel(peer) and account.id in chat.members
        }
        state: dict[str, Any] = {"pts": self._world.box(account.id).pts, "qts": 0, "date": now(), "seq": SEQ}
        return web.json_response({**state, "channels": channels})

    async def _set_pts(self, request: web.Request) -> web.Response:
        account, wanted = self._account(request), await read(request, Pts)
        self._world.rewind(self._world.box(account.id), wanted.pts)
        return web.json_response({"pts": wanted.pts})

    async def _code(self, request: web.Request) -> web.Response:
        phone = digits(request.match_info["phone"])
        codes = self._server.codes
        if not await self._server.changes.until(lambda: phone in codes, patience(request, 0.0)):
            raise ProblemError(408, "no code was sent to that number")
        return web.json_response({"code": codes[phone].code})

    async def _login_links(self, request: web.Request) -> web.Response:
        tokens, after = self._server.login_tokens, request.query.get("after", "")

        def others() -> list[str]:
            return [shown.link for shown in tokens.waiting() if shown.link != after]

        if not await self._server.changes.until(lambda: bool(others()), patience(request, 0.0)):
            raise ProblemError(408, "nobody shows a QR code")
        return web.json_response({"links": others()})

    async def _scan(self, request: web.Request) -> web.Response:
        account, scan = self._account(request), await read(request, Scan)
        try:
            token = token_of(scan.link)
        except ValueError as error:
            raise ProblemError(422, f"link: {error}") from error
        shown = self._server.login_tokens.accept(account, token)
        return web.json_response({"key_id": shown.key.name}, status=201)

    async def _block(self, request: web.Request) -> web.Response:
        return await self._set_block(request, blocked=True)

    async def _unblock(self, request: web.Request) -> web.Response:
        return await self._set_block(request, blocked=False)

    async def _set_block(self, request: web.Request, *, blocked: bool) -> web.Response:
        block = await read(request, Block)
        by, other = account_of(self._world, block.by), account_of(self._world, block.blocked)
        self._server.manage.set_blocked(by, other, blocked=blocked)
        return web.json_response({})
