"""
Why: which images and which model endpoints bots may use, decided on the effective spec: defaults are in no object, so the
API server's policy cannot see them, and not every cluster has that policy. Where bots may run is placement.py's.
Never: guess what a URL or an image means: what is not written plainly is not on the list. The chart's admission policy has
the same rules in CEL (templates/admission); tests/support/allowlist_cases.py holds the cases that both are tried with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from botfleet.defaults import BUILT_IN
from botfleet.effective import EffectiveSpec
from botfleet_operator.placement import ANY, CHART_VALUES, Placement

_TAG_AND_DIGEST = r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?"
_NAMED = re.compile(r"[:@][^/]*\Z")  # an entry that ends in a tag or a digest; before a slash there is a port
_NAME = r"[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
# No user, no query, no escapes: those are where two readers of one URL see two hosts.
_URL = re.compile(r"(https?)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?((?:/[A-Za-z0-9._~:-]*)*)")
_DOT_SEGMENT = re.compile(r"/\.\.?(/|$)")
_DEFAULT_PORTS = {"https": ":443", "http": ":80"}


@dataclass(frozen=True, slots=True)
class Excess:
    """A field of a spec whose value is not allowed, what would be, and the chart's value that says so."""

    field: str
    value: str
    allowed: tuple[str, ...]
    chart_value: str


@dataclass(frozen=True, slots=True)
class Allowlist:
    """Images: repositories (with any tag and digest), one image by its tag or digest, or prefixes that end in "/".
    Endpoints: URLs, and all that is below them. "*" is anything."""

    images: tuple[str, ...] = (ANY,)
    endpoints: tuple[str, ...] = (ANY,)
    placement: Placement = field(default_factory=Placement)

    def excesses(self, spec: EffectiveSpec) -> Iterator[Excess]:
        """Every field that names what is not on the lists."""
        image = spec.workload.image
        if image is not None and not _image_allowed(image, self.images):
            yield Excess("spec.workload.image", image, self.images, "bots.allowedImages")
        for place, url in _endpoints(spec):
            if not _endpoint_allowed(url, self.endpoints):
                yield Excess(place, url, self.endpoints, "bots.allowedModelEndpoints")
        for name, value in self.placement.beyond(spec.workload):
            yield Excess(f"spec.workload.{name}", value, self.placement.lists[name], CHART_VALUES[name])


ANYTHING = Allowlist()


def allowlist(
    images: tuple[str, ...],
    endpoints: tuple[str, ...],
    places: Placement,
    *,
    runner_image: str,
    defaults: Mapping[str, Any],
) -> Allowlist:
    """What was listed, and what the installation itself names: its runner's repository, its defaults, and, when nothing else
    is said of endpoints, the built-in default."""
    own_images = [re.sub(f"{_TAG_AND_DIGEST}$", "", runner_image, count=1)]
    if image := (defaults.get("workload") or {}).get("image"):
        own_images.append(image)
    model = defaults.get("model") or {}
    parts = [model, *(model.get("fallbacks") or ()), model.get("transcription") or {}]
    own_endpoints = [part["baseUrl"] for part in parts if part.get("baseUrl")]
    if not own_endpoints and not endpoints:
        own_endpoints.append(BUILT_IN["model"]["baseUrl"])
    return Allowlist(
        tuple(dict.fromkeys([*own_images, *images])),
        tuple(dict.fromkeys(_entry(url) for url in [*own_endpoints, *endpoints])),
        places,
    )


def _entry(listed: str) -> str:
    """An endpoint of the list as it is compared: a host alone means https."""
    if listed == ANY:
        return listed
    url = listed if "://" in listed else f"https://{listed}"
    return (_plain(url) or url).rstrip("/")


def _endpoints(spec: EffectiveSpec) -> Iterator[tuple[str, str]]:
    yield "spec.model.baseUrl", spec.model.base_url
    for index, fallback in enumerate(spec.model.fallbacks):
        yield f"spec.model.fallbacks[{index}].baseUrl", fallback.base_url
    if spec.model.transcription:
        yield "spec.model.transcription.baseUrl", spec.model.transcription.base_url


def _image_allowed(image: str, allowed: tuple[str, ...]) -> bool:
    return any(entry == ANY or _is_of(image, entry) for entry in allowed)


def _is_of(image: str, entry: str) -> bool:
    if _NAMED.search(entry):
        # Not with a digest either: that alone would say which image it is, whatever the tag.
        return image == entry
    after = (_NAME if entry.endswith("/") else "") + _TAG_AND_DIGEST
    return image.startswith(entry) and bool(re.fullmatch(after, image.removeprefix(entry)))


def _endpoint_allowed(url: str, allowed: tuple[str, ...]) -> bool:
    if ANY in allowed or url in allowed:
        return True
    plain = _plain(url)
    return plain is not None and any(plain == entry or plain.startswith(f"{entry}/") for entry in allowed)


def _plain(url: str) -> str | None:
    """With a host in lower case and without the scheme's own port; None for what could be read in two ways."""
    parts = _URL.fullmatch(url)
    if parts is None or _DOT_SEGMENT.search(parts[4]):
        return None
    scheme, host, port, path = parts[1], parts[2], parts[3] or "", parts[4]
    return f"{scheme}://{host.lower()}{'' if port == _DEFAULT_PORTS[scheme] else port}{path}"
