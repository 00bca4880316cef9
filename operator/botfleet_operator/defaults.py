"""
Why: the TelegramBotDefaults of a namespace as a small record: its layer of defaults, or what is wrong with it.
Never: merge it (botfleet.effective does), or decide about a bot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botfleet.manifest import ManifestError, parse_defaults
from botfleet.spec import DEFAULTS_KIND, DEFAULTS_PLURAL, GROUP, VERSION
from botfleet_operator.kubeapi import Resource

TELEGRAM_BOT_DEFAULTS = Resource(GROUP, VERSION, DEFAULTS_PLURAL, DEFAULTS_KIND)


@dataclass(frozen=True, slots=True)
class DefaultsRecord:
    """Defaults of a namespace. `mistake`: the API server took them (it knows no time zones, say), and they make no sense."""

    namespace: str
    name: str
    uid: str
    version: int
    generation: int
    layer: dict[str, Any] = field(default_factory=dict)
    mistake: str | None = None


def defaults_record(body: Mapping[str, Any]) -> DefaultsRecord:
    """Of a TelegramBotDefaults' body."""
    metadata = body["metadata"]
    layer, mistake = _read(body)
    return DefaultsRecord(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        generation=int(metadata.get("generation") or 0),
        layer=layer,
        mistake=mistake,
    )


def _read(body: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    # A list gives its objects without kind and version.
    document = {**body, "apiVersion": TELEGRAM_BOT_DEFAULTS.api_version, "kind": DEFAULTS_KIND}
    try:
        return parse_defaults(document, "it").spec.to_wire(), None
    except ManifestError as error:
        return {}, str(error).removeprefix("it: ")
