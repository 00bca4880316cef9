"""help.*: what clients ask for before anything else.

It must never depend on an account.
"""

import ipaddress
import socket
from functools import lru_cache
from typing import Any

from telethon.tl import functions, types

from botfleet_simulator.telegram.rpc import TRUE, Context, method
from botfleet_simulator.telegram.server import DC_ID
from botfleet_simulator.telegram.world import now

F = functions.help


def public_address(host: str) -> str:
    """The address that clients are told: names are resolved, "any" and what cannot be resolved become loopback."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        try:
            return _resolved(host)
        except OSError:
            return "127.0.0.1"
    return "127.0.0.1" if found.is_unspecified else host


@lru_cache(maxsize=8)
def _resolved(host: str) -> str:
    return socket.gethostbyname(host)


@method(F.GetConfigRequest, public=True)
def get_config(context: Context, request: Any) -> Any:
    """The data center and the limits."""
    address = public_address(context.server.public_host)
    return types.Config(
        date=now(),
        expires=now() + 3600,
        test_mode=False,
        this_dc=DC_ID,
        dc_options=[types.DcOption(DC_ID, address, context.server.port, ipv6=(":" in address) or None)],
        dc_txt_domain_name="",
        chat_size_max=200,
        megagroup_size_max=200_000,
        forwarded_count_max=100,
        online_update_period_ms=210_000,
        offline_blur_timeout_ms=5_000,
        offline_idle_timeout_ms=30_000,
        online_cloud_timeout_ms=300_000,
        notify_cloud_delay_ms=30_000,
        notify_default_delay_ms=1_500,
        push_chat_period_ms=60_000,
        push_chat_limit=2,
        edit_time_limit=172_800,
        revoke_time_limit=2_147_483_647,
        revoke_pm_time_limit=2_147_483_647,
        rating_e_decay=2_419_200,
        stickers_recent_limit=200,
        channels_read_media_period=604_800,
        call_receive_timeout_ms=20_000,
        call_ring_timeout_ms=90_000,
        call_connect_timeout_ms=30_000,
        call_packet_timeout_ms=10_000,
        me_url_prefix="https://t.me/",
        caption_length_max=1024,
        message_length_max=4096,
        webfile_dc_id=DC_ID,
    )


@method(F.GetNearestDcRequest, public=True)
def get_nearest_dc(context: Context, request: Any) -> Any:
    """There is one data center."""
    return types.NearestDc("", DC_ID, DC_ID)


@method(F.GetAppConfigRequest, public=True)
def get_app_config(context: Context, request: Any) -> Any:
    """No application settings."""
    return types.help.AppConfig(0, types.JsonObject([]))


@method(F.SaveAppLogRequest, public=True)
def save_app_log(context: Context, request: Any) -> Any:
    """Logs of clients are dropped."""
    return TRUE
