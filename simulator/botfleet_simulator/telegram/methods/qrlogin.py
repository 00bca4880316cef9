"""Logging in by QR code: one client shows a token, another one that is logged in scans it.

It must never log a token. Source: https://core.telegram.org/api/qr-login
"""

from datetime import UTC, datetime
from typing import Any

from telethon.tl import functions, types

from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.logintokens import LoginToken
from botfleet_simulator.telegram.methods.account import authorization
from botfleet_simulator.telegram.methods.auth import let_in
from botfleet_simulator.telegram.rpc import Context, method
from botfleet_simulator.telegram.server import DC_ID

F = functions.auth


@method(F.ExportLoginTokenRequest, public=True)
def export_login_token(context: Context, request: Any) -> Any:
    """A token to show; or, once it was scanned, what comes of it."""
    tokens = context.server.login_tokens
    shown = tokens.of(context.key)
    if shown is not None and shown.account_id is not None:
        if context.server.settings.login_token_migrates and context.key.account_id is None:
            return types.auth.LoginTokenMigrateTo(DC_ID, shown.token)
        return _success(context, shown)
    made = tokens.new(context.key, frozenset(request.except_ids))
    return types.auth.LoginToken(datetime.fromtimestamp(int(made.expires), UTC), made.token)


@method(F.ImportLoginTokenRequest, public=True)
def import_login_token(context: Context, request: Any) -> Any:
    """The same in the account's own data center, with another key."""
    shown = context.server.login_tokens.named(request.token)
    if shown.account_id is None:
        return types.auth.LoginToken(datetime.fromtimestamp(int(shown.expires), UTC), shown.token)
    return _success(context, shown)


@method(F.AcceptLoginTokenRequest, bots=False)
def accept_login_token(context: Context, request: Any) -> Any:
    """Let the client in that shows this token."""
    shown = context.server.login_tokens.accept(context.me, request.token)
    return authorization(shown.key, current=False)


def _success(context: Context, shown: LoginToken) -> Any:
    if shown.account_id is None:
        raise RpcError("AUTH_TOKEN_EXPIRED")
    context.server.login_tokens.drop(shown)
    return types.auth.LoginTokenSuccess(let_in(context, context.world.account(shown.account_id)))
