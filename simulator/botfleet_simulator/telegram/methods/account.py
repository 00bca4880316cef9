"""An account's own settings and sessions.

It must never touch another account's.
"""

from typing import Any

from telethon.tl import functions, types

from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.render import user
from botfleet_simulator.telegram.rpc import TRUE, Context, method
from botfleet_simulator.telegram.session import KeyRecord
from botfleet_simulator.telegram.world import TakenError

F = functions.account


@method(F.UpdateStatusRequest)
def update_status(context: Context, request: Any) -> Any:
    """Online or offline: nobody is told."""
    return TRUE


@method(F.UpdateProfileRequest, bots=False)
def update_profile(context: Context, request: Any) -> Any:
    """Change name or about text."""
    me = context.me
    if request.first_name is not None:
        if not request.first_name.strip():
            raise RpcError("FIRSTNAME_INVALID")
        me.first_name = request.first_name
    if request.last_name is not None:
        me.last_name = request.last_name or None
    if request.about is not None:
        me.about = request.about
    context.world.save_account(me)
    return user(me, me)


@method(F.UpdateUsernameRequest, bots=False)
def update_username(context: Context, request: Any) -> Any:
    """Take, change or give up a username."""
    me = context.me
    try:
        context.world.rename(me, request.username or None)
    except TakenError:
        raise RpcError("USERNAME_OCCUPIED") from None
    context.world.save_account(me)
    return user(me, me)


@method(F.GetAuthorizationsRequest, bots=False)
def get_authorizations(context: Context, request: Any) -> Any:
    """The account's sessions."""
    records = [record for record in context.server.keys_of(context.me.id) if record.error is None]
    return types.account.Authorizations(
        180, [authorization(record, current=record is context.key) for record in records]
    )


@method(F.ResetAuthorizationRequest, bots=False)
def reset_authorization(context: Context, request: Any) -> Any:
    """End one other session."""
    for record in context.server.keys_of(context.me.id):
        if record is not context.key and _hash(record) == request.hash:
            context.server.kill_key(record, "SESSION_REVOKED")
            return TRUE
    raise RpcError("HASH_INVALID")


def _hash(record: KeyRecord) -> int:
    return int(record.key.key_id) >> 1


def authorization(record: KeyRecord, *, current: bool) -> Any:
    """A session as its account sees it. `current`: it is the one that asks."""
    return types.Authorization(
        hash=0 if current else _hash(record),
        device_model=record.device_model,
        platform="",
        system_version=record.system_version,
        api_id=record.api_id,
        app_name="",
        app_version=record.app_version,
        date_created=record.created,
        date_active=record.active or record.created,
        ip="127.0.0.1",
        country="",
        region="",
        current=current or None,
    )
