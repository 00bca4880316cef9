"""Why: who runs a bot at a terminal reads sentences: what happened, and what to do. A file and a pod get the events as they are."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

_SENTENCES = {
    "starting": "Starting (version {version}). Ctrl-C ends it.",
    "probes_and_metrics": "Probes and metrics: http://{address}/readyz and /metrics",
    "telegram.logged_in_with_token": "Logged in with the token.",
    "telegram.try_again": "Telegram: not now ({why}); tried again in {after} s.",
    "telegram.connection_ended": "The connection to Telegram ended ({cause}); connecting again.",
    "privacy_mode_hides_group_messages": "BotFather's privacy mode hides from the bot what is not addressed to it in groups; "
    "/setprivacy of BotFather takes it off, or set spec.access.groups to Mention.",
    "message_received": "A message came in.",
    "answer_stored": "Answered {messages} message(s).",
    "reply_sent": "The answer is sent.",
    "model_gave_no_answer": "The model gave no answer ({reason}); the message waits and it is asked again.",
    "cannot_go_on": "Cannot go on: {why}",
    "credentials_unusable": "The credentials cannot be used: {why} Waiting until they change.",
    "stopping": "Stopping: what is being answered is finished first (at most {grace} s). Ctrl-C again ends it at once.",
    "ended_at_once": "Ended at once. What was under way goes on at the next start.",
    "stopped": "Stopped. Nothing is lost: what came meanwhile is answered at the next start.",
}

_LOUD = frozenset({"warning", "error", "critical"})


def in_words(_logger: object, _method: str, event: "Any") -> str:
    """The line for a terminal; of an event that has no sentence, its name and its fields."""
    return line(event, datetime.now().astimezone())


def line(event: Mapping[str, Any], now: datetime) -> str:
    """Pure: what is written for an event at a time of the wall's clock."""
    name, level = str(event.get("event", "")), str(event.get("level", "info"))
    fields = {key: value for key, value in event.items() if key not in ("event", "level", "timestamp", "bot")}
    mark = f"{level}: " if level in _LOUD else ""
    return f"{now:%H:%M:%S}  {mark}{_sentence(name, fields)}"


def _sentence(name: str, fields: Mapping[str, Any]) -> str:
    if name == "connected":
        username = fields.get("username")
        return (
            f"Connected as @{username}. Write to it: https://t.me/{username}" if username else "Connected to Telegram."
        )
    if name == "life_ended" and fields.get("reason"):
        return f"Telegram does not let the account in: {fields['reason']}. docs/conditions.md says what to do."
    if name in _SENTENCES:
        try:
            return _SENTENCES[name].format(**fields)
        except KeyError:
            pass
    told = " ".join(f"{key}={value}" for key, value in fields.items() if value is not None)
    return f"{name.replace('_', ' ')}  {told}".rstrip()
