"""
Why: the whole event surface of the operator: what kopf calls, and nothing else.
Never: a decision, or a line about what is done with an event.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import kopf
import structlog
import uvloop

from botfleet.spec import GROUP, PLURAL, VERSION
from botfleet.store.errors import StoreError
from botfleet_operator import logs
from botfleet_operator.app import Operator
from botfleet_operator.installation import StartError
from botfleet_operator.kubeapi import connection_info
from botfleet_operator.settings import SettingsError, from_environment

log = structlog.get_logger("botfleet.operator")


def registry_for(app: Operator) -> kopf.OperatorRegistry:
    """Everything that kopf calls."""
    registry = kopf.OperatorRegistry()

    @kopf.on.startup(registry=registry, errors=kopf.ErrorsMode.PERMANENT)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings, app)
        try:
            await app.start()
        except (StartError, StoreError) as error:
            app.refuse(str(error))
            raise kopf.PermanentError(str(error)) from error

    @kopf.on.login(registry=registry)
    def login(settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo:
        return connection_info(settings)

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def bot_event(event: kopf.RawEvent, **_: Any) -> None:
        app.bot_event(event["type"], event["object"])

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await app.stop()

    return registry


def configure(settings: kopf.OperatorSettings, app: Operator) -> None:
    """Kopf writes nothing, and no watch of it stalls unseen."""
    settings.posting.enabled = False
    settings.peering.standalone = True  # leader election is ours
    settings.scanning.disabled = True  # needs no rights on CRDs and namespaces
    settings.process.ultimate_exiting_timeout = 20
    settings.watching.server_timeout = 290
    settings.watching.client_timeout = 320
    settings.watching.connect_timeout = app.settings.api_timeout_seconds
    settings.watching.inactivity_timeout = app.settings.watch_idle_seconds
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)


async def run() -> int:
    """The operator until it is told to stop; returns the exit code."""
    settings = from_environment()
    logs.configure(settings.log_format, settings.log_level)
    app = Operator(settings)
    overseer = asyncio.create_task(app.watch_over(), name="overseer")
    try:
        await kopf.operator(
            registry=registry_for(app),
            standalone=True,
            stop_flag=app.stopped,
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
        )
    except Exception:
        if not app.refused:
            raise
    finally:
        overseer.cancel()
        await app.stop()
    return app.exit_code


def main() -> None:
    """What the console script `botfleet-operator` runs."""
    try:
        code = uvloop.run(run())
    except SettingsError as error:
        log.error("cannot_start", error=str(error))
        code = 2
    sys.exit(code)


if __name__ == "__main__":
    main()
