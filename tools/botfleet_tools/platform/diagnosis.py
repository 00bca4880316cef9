"""Why: when the platform does not come up, a person must see which part failed: which pods are not well, which conditions do
not hold, and the end of the logs.

It only looks. What a Secret of the cluster holds is masked, wherever it may stand: each line of a value, the password in an
address, each string in JSON or YAML, each long word with a digit; all of it also as base64. Not masked are texts of fewer than
four characters, other encodings, and a string within a value that is an object's name: whoever sees the pods sees that.
"""

import base64
import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

import yaml

from botfleet_tools.cluster import Cluster
from botfleet_tools.errors import ToolError
from botfleet_tools.run import CommandFailedError

ASK_SECONDS = 20.0
LOG_LINES = 12
KINDS = ("jobs", "deployments", "statefulsets", "telegrambots")
# Conditions that tell of trouble when they hold; all others of ours and of Kubernetes tell of it when they do not.
TROUBLE = frozenset({"Failed", "ReplicaFailure"})
PASSING = frozenset({"Complete", "FailureTarget", "SuccessCriteriaMet", "Suspended"})
SHORTEST_SECRET = 4
SHORTEST_WORD = 12
HIDDEN = "•••"
BASE64 = (base64.b64encode, base64.urlsafe_b64encode)
PASSWORD_IN_ADDRESS = re.compile(r"://[^\s/:@]*:([^\s/@]+)@")

Object = dict[str, Any]


@contextlib.contextmanager
def explained(cluster: Cluster) -> Iterator[None]:
    """Adds to a failed wait of this block what in the cluster is not well.

    Raises:
        ToolError: the failure and the report.
    """
    try:
        yield
    except (CommandFailedError, TimeoutError) as error:
        raise ToolError(report(cluster, str(error))) from error


def report(cluster: Cluster, failure: str) -> str:
    """The failure, all pods, the conditions that do not hold, and the end of the logs of the pods that are not well."""
    try:
        secrets, pods = _items(cluster, "secrets"), _items(cluster, "pods")
        objects = [item for kind in KINDS for item in _items(cluster, kind, may_be_unknown=True)]
        names = {item["metadata"][key] for item in (*secrets, *pods, *objects) for key in ("namespace", "name")}
        hidden = secret_texts(secrets, names)
        lines = [failure, "pods:", *(f"  {pod_line(pod)}" for pod in pods)]
        if found := [line for item in (*objects, *pods) for line in broken(item)]:
            lines += ["not as it should be:", *(f"  {line}" for line in found)]
        for pod in pods:
            for container, previous in unwell(pod):
                lines += _log(cluster, pod, container, previous=previous)
    except ToolError as error:
        return f"{failure}\nwhat failed in the cluster could not be asked: {error}"
    return masked("\n".join(lines), hidden)


def pod_line(pod: Object) -> str:
    """A pod in one line: its phase and what each container does that does not simply run."""
    status = pod.get("status", {})
    parts = [f"{_name(pod)}: {status.get('phase', 'Unknown')}"]
    for container in _containers(pod):
        restarts = int(container.get("restartCount", 0))
        state = _state(container)
        if state or restarts:
            again = f", started again {restarts} times" if restarts else ""
            parts.append(f"{container['name']} {state or 'runs'}{again}")
    return "; ".join(parts)


def unwell(pod: Object) -> list[tuple[str, bool]]:
    """The containers whose logs tell why a pod is not well; True for the log of the one that ran before the one that runs."""
    if pod.get("status", {}).get("phase") == "Succeeded":
        return []
    found = []
    for container in _containers(pod):
        if container.get("restartCount") and "running" in container.get("state", {}):
            found.append((container["name"], True))
        # Of one that waits to be started again, or has ended, this is the log of its last life.
        if not (container.get("ready") or _exit_code(container) == 0):
            found.append((container["name"], False))
    return found


def broken(item: Object) -> list[str]:
    """What an object's status says against it, with reason and message."""
    status, kind = item.get("status", {}), str(item.get("kind", "")).lower()
    found = []
    if kind in ("deployment", "statefulset"):
        wanted, ready = int(item.get("spec", {}).get("replicas", 1)), int(status.get("readyReplicas", 0))
        if ready < wanted:
            found.append(f"{kind} {_name(item)}: {ready} of {wanted} ready")
    for condition in status.get("conditions", []):
        type_, value = condition["type"], condition["status"]
        # A pod that is done is no longer Ready, and why one that runs is not is told with its containers.
        if type_ in PASSING or (kind == "pod" and type_ != "PodScheduled"):
            continue
        if (value == "True") is (type_ in TROUBLE):
            why = " ".join(str(condition[key]) for key in ("reason", "message") if condition.get(key))
            found.append(f"{kind} {_name(item)}: {type_}={value} {why}".rstrip())
    return found


def secret_texts(secrets: Iterable[Object], names: Iterable[str] = ()) -> set[str]:
    """Every text of these Secrets that may not be shown. What is inside a value and is one of the names is left out."""
    whole: set[str] = set()
    inside: set[str] = set()
    for secret in secrets:
        if str(secret.get("type", "")).startswith("helm.sh/"):
            continue
        for value in secret.get("data", {}).values():
            text = base64.b64decode(value).decode(errors="replace")
            whole |= {value.rstrip("="), text.strip(), *(line.strip() for line in text.splitlines())}
            inside |= {form for word in PASSWORD_IN_ADDRESS.findall(text) for form in (word, unquote(word))}
            inside |= {leaf.strip() for leaf in _leaves(_parsed(text))}
            words = re.split(r"[\s\"',{}\[\]:@/]+", text)
            inside |= {word for word in words if len(word) >= SHORTEST_WORD and re.search(r"\d", word)}
    found = {text for text in whole | (inside - set(names)) if len(text) >= SHORTEST_SECRET}
    encoded = {encode(text.encode()).decode().rstrip("=") for text in found for encode in BASE64}
    return found | encoded


def _parsed(text: str) -> Any:
    """What JSON or YAML says; a text that is neither says nothing."""
    try:
        return list(yaml.safe_load_all(text))  # JSON is YAML
    except (yaml.YAMLError, ValueError):
        return None


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)


def masked(text: str, hidden: Iterable[str]) -> str:
    """The text without any of these, the longest first: one may hold another."""
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _items(cluster: Cluster, kind: str, *, may_be_unknown: bool = False) -> list[Object]:
    try:
        found: list[Object] = json.loads(
            cluster.kubectl("get", kind, "--all-namespaces", "--output=json", deadline_seconds=ASK_SECONDS)
        )["items"]
    except CommandFailedError:
        if may_be_unknown:  # before the chart is installed there are no TelegramBots
            return []
        raise
    return found


def _log(cluster: Cluster, pod: Object, container: str, *, previous: bool) -> list[str]:
    place = pod["metadata"]
    argv = ["--namespace", place["namespace"], "logs", place["name"], "--container", container, f"--tail={LOG_LINES}"]
    try:
        text = cluster.kubectl(*argv, *(["--previous"] if previous else []), deadline_seconds=ASK_SECONDS)
    except CommandFailedError:  # it has not started yet
        return []
    of_which = f"{container} before it was started again" if previous else container
    return [f"the end of the log of {_name(pod)}, {of_which}:", *(f"    {line}" for line in text.splitlines())]


def _containers(pod: Object) -> list[Object]:
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def _exit_code(container: Object) -> int | None:
    code = container.get("state", {}).get("terminated", {}).get("exitCode")
    return None if code is None else int(code)


def _state(container: Object) -> str:
    """What a container does; empty when it runs and is ready, or is done."""
    state = container.get("state", {})
    for kind in ("waiting", "terminated"):
        told = state.get(kind)
        if told is not None and told.get("exitCode") != 0:
            why = " ".join(str(told[key]) for key in ("reason", "message") if told.get(key))
            return f"{'waits' if kind == 'waiting' else 'has ended'}: {why}"
    return "" if container.get("ready") or _exit_code(container) == 0 else "runs and is not ready"


def _name(item: Object) -> str:
    place = item["metadata"]
    return f"{place['namespace']}/{place['name']}"
