"""Logging in and out: bots by token, people by phone, code and 2FA password.

It must never log a code, a token or a password.
"""

import secrets
import time
from typing import Any

from telethon.tl import functions, types

from botfleet_simulator.telegram import srp
from botfleet_simulator.telegram.domain import Account, Password
from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.render import user
from botfleet_simulator.telegram.rpc import TRUE, Context, method
from botfleet_simulator.telegram.server import LoginCode
from botfleet_simulator.telegram.world import digits

CODE_LIFETIME_SECONDS = 300
F = functions.auth


def _authorize(context: Context, account: Account) -> Any:
    if account.banned:
        raise RpcError("USER_DEACTIVATED_BAN")
    if account.deactivated:
        raise RpcError("USER_DEACTIVATED")
    context.server.log_in(context.key, account.id)
    return types.auth.Authorization(user=user(account, account))


def let_in(context: Context, account: Account) -> Any:
    """Log a person in who has proved to be one; SESSION_PASSWORD_NEEDED when there is a 2FA password."""
    if account.password is not None:
        context.key.awaiting_password = account.id
        raise RpcError("SESSION_PASSWORD_NEEDED")
    return _authorize(context, account)


@method(F.ImportBotAuthorizationRequest, public=True)
def import_bot_authorization(context: Context, request: Any) -> Any:
    """Log a bot in."""
    bot = context.world.of_token(request.bot_auth_token)
    if bot is None:
        raise RpcError("ACCESS_TOKEN_INVALID")
    if bot.token_expired:
        raise RpcError("ACCESS_TOKEN_EXPIRED")
    return _authorize(context, bot)


@method(F.SendCodeRequest, public=True)
def send_code(context: Context, request: Any) -> Any:
    """Send a code to a phone (it can be read at the admin port)."""
    return _sent_code(context, digits(request.phone_number))


@method(F.ResendCodeRequest, public=True)
def resend_code(context: Context, request: Any) -> Any:
    """Send another code."""
    return _sent_code(context, digits(request.phone_number))


def _sent_code(context: Context, phone: str) -> Any:
    if not 5 <= len(phone) <= 15:
        raise RpcError("PHONE_NUMBER_INVALID")
    account = context.world.of_phone(phone)
    if account is not None and account.banned:
        raise RpcError("PHONE_NUMBER_BANNED")
    fixed = account.fixed_code if account is not None else None
    code = LoginCode(fixed or f"{secrets.randbelow(100_000):05d}", secrets.token_hex(8), time.time())
    context.server.codes[phone] = code
    context.server.changes.beat()
    return types.auth.SentCode(type=types.auth.SentCodeTypeApp(len(code.code)), phone_code_hash=code.hash, timeout=60)


@method(F.SignInRequest, public=True)
def sign_in(context: Context, request: Any) -> Any:
    """Log a person in by code; SESSION_PASSWORD_NEEDED when there is a 2FA password."""
    phone = digits(request.phone_number)
    _check_code(context, phone, request.phone_code_hash, request.phone_code)
    account = context.world.of_phone(phone)
    if account is None:
        return types.auth.AuthorizationSignUpRequired()
    del context.server.codes[phone]
    return let_in(context, account)


@method(F.SignUpRequest, public=True)
def sign_up(context: Context, request: Any) -> Any:
    """Make a new person for a phone whose code was right."""
    phone = digits(request.phone_number)
    code = context.server.codes.pop(phone, None)
    if code is None or code.hash != request.phone_code_hash:
        raise RpcError("PHONE_CODE_EXPIRED")
    if context.world.of_phone(phone) is not None:
        raise RpcError("PHONE_NUMBER_OCCUPIED")
    if not request.first_name.strip():
        raise RpcError("FIRSTNAME_INVALID")
    account = context.world.add_account("person", request.first_name, last_name=request.last_name or None, phone=phone)
    return _authorize(context, account)


@method(functions.account.GetPasswordRequest, public=True)
def get_password(context: Context, request: Any) -> Any:
    """What a client needs to prove that it knows the 2FA password."""
    account_id = context.key.awaiting_password or context.key.account_id
    if account_id is None:
        raise RpcError("AUTH_KEY_UNREGISTERED")
    password = context.world.account(account_id).password
    answer = types.account.Password(
        new_algo=srp.algorithm(Password(b"\0" * 8, b"\0" * 16, 0)),
        new_secure_algo=types.SecurePasswordKdfAlgoUnknown(),
        secure_random=secrets.token_bytes(256),
        has_password=password is not None or None,
    )
    if password is not None:
        secret, public = srp.challenge(password)
        answer.srp_id = secrets.randbits(62)
        context.key.srp = {answer.srp_id: secret}
        answer.srp_B, answer.current_algo = public, srp.algorithm(password)
    return answer


@method(F.CheckPasswordRequest, public=True)
def check_password(context: Context, request: Any) -> Any:
    """The second half of a login with 2FA."""
    account_id = context.key.awaiting_password
    if account_id is None:
        raise RpcError("AUTH_KEY_UNREGISTERED")
    account = context.world.account(account_id)
    secret = context.key.srp.pop(getattr(request.password, "srp_id", 0), None)
    if secret is None or account.password is None:
        raise RpcError("SRP_ID_INVALID")
    if not srp.proves(account.password, secret, request.password):
        raise RpcError("PASSWORD_HASH_INVALID")
    return _authorize(context, account)


@method(F.LogOutRequest)
def log_out(context: Context, request: Any) -> Any:
    """End this session: its key speaks for nobody."""
    context.server.log_in(context.key, None)
    return types.auth.LoggedOut()


@method(F.ResetAuthorizationsRequest, bots=False)
def reset_authorizations(context: Context, request: Any) -> Any:
    """End all other sessions of the account."""
    for record in context.server.keys_of(context.me.id):
        if record is not context.key:
            context.server.log_in(record, None)
            context.server.kill_key(record, "SESSION_REVOKED")
    return TRUE


def _check_code(context: Context, phone: str, given_hash: str, given_code: str | None) -> None:
    code = context.server.codes.get(phone)
    if code is None or code.hash != given_hash or time.time() - code.sent > CODE_LIFETIME_SECONDS:
        raise RpcError("PHONE_CODE_EXPIRED")
    if not given_code:
        raise RpcError("PHONE_CODE_EMPTY")
    if code.code != given_code:
        raise RpcError("PHONE_CODE_INVALID")
