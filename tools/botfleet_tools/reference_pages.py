"""Why: docs/settings.md and docs/metrics.md are written from the code that reads the settings and counts, so they cannot differ.

It only renders. What a setting or a metric means is said where it is defined.
"""

import ast
import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client.metrics import MetricWrapperBase
from pydantic_core import PydanticUndefined

from botfleet.conditions import ConditionType, Phase
from botfleet_operator import migrate
from botfleet_operator import settings as operator_settings
from botfleet_operator.metrics import Metrics as OperatorMetrics
from botrunner import config as runner_config
from botrunner.conversation.skips import Skip
from botrunner.conversation.starting import Unsaid
from botrunner.conversation.trouble import Failed
from botrunner.metrics import Metrics as RunnerMetrics
from botrunner.model.chain import PLACES
from botrunner.model.provider import Failure
from botrunner.telegram.errors import SendReason
from botrunner.telegram.files import Unread
from botrunner.telegram.receiving import Remedy

_GENERATED = "<!-- Generated from the code: make generate -->"

_SETTINGS_INTRO = """\
# Settings

{generated}

What a bot says and does is in its TelegramBot (`kubectl explain telegrambot.spec --recursive`); how an installation is set
up is in the chart's [values](../charts/botfleet/values.yaml). This page lists what the programs themselves read: environment
variables. In a cluster the chart and the operator set them; you need them for a bot that runs alone, or to debug.

No variable holds a password. A URL with a password in it is refused, since environments and process lists are read by many.
"""

_METRICS_INTRO = """\
# Metrics

{generated}

In the Prometheus format, without authentication. Labels are enumerated words: never a text, a chat, a person or a bot's name
(the scraper knows which pod it asked). Histograms have the usual `_bucket`, `_sum` and `_count`.

* A runner serves `/metrics` on port 8080 (`http`) of its pod. The chart has no PodMonitor for bots; their pods carry
  `app.kubernetes.io/part-of: botfleet` and `botfleet.dev/bot: NAME`. Alone, `--health HOST:PORT` says where.
* The operator serves `/metrics` on port 8081 (`http`); `operator.serviceMonitor` of the chart is for
  the Prometheus operator. It adds the `process_*` and `python_gc_*` metrics of the Prometheus client.
"""

# What each label of a metric can say.
_RUNNER_WORDS: dict[str, Iterable[str]] = {
    "botfleet_runner_messages_skipped_total": Skip,
    "botfleet_runner_proactive_skipped_total": Unsaid,
    "botfleet_runner_messages_failed_total": Failed,
    "botfleet_runner_send_failures_total": ["wait", "unknown", "account_lost", *SendReason],
    "botfleet_runner_model_answers_total": (f"{', '.join(PLACES)}; whole", "cut_off"),
    "botfleet_runner_model_circuit_open": PLACES,
    "botfleet_runner_model_failures_total": Failure,
    "botfleet_runner_media_total": (
        "picture",
        "voice; read",
        "empty",
        *Unread,
        "no_picture",
        "not_fetched",
        "model_refused",
        "or as of model_failures",
    ),
    "botfleet_runner_model_tokens_total": ("input", "output"),
    "botfleet_runner_budget_used_ratio": ("tokens", "money"),
    "botfleet_runner_receiving_remedies_total": Remedy,
    "botfleet_runner_reply_stage_seconds": ("waiting", "model", "sending"),
    "botfleet_runner_flood_waits_total": ("account", "chat", "login"),
    "botfleet_runner_flood_wait_seconds_total": ("account", "chat", "login"),
}
_RESULTS = ("ok", "failed", "removed", "error", "broken", "not_leading")
_OPERATOR_WORDS: dict[str, Iterable[str]] = {
    "botfleet_operator_reconciles_total": _RESULTS,
    "botfleet_operator_reconcile_seconds": _RESULTS,
    "botfleet_operator_api_requests_total": (
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "apply",
        "delete; plural of the kind; HTTP status",
    ),
    "botfleet_operator_watch_silence_seconds": ("plural of the kind",),
    "botfleet_operator_bots": Phase,
    "botfleet_operator_bot_conditions": (", ".join(ConditionType) + "; True", "False", "Unknown"),
    "botfleet_operator_store_failures_total": ("database", "redis"),
}

MIGRATE = {
    "BOTFLEET_OWNER_DATABASE_URL": "postgresql://USER@HOST:PORT/DATABASE of the role that owns the tables.",
    "BOTFLEET_OWNER_DATABASE_PASSWORD_FILE": "File with that role's password.",
    "BOTFLEET_DATABASE_URL": "The same of the operator's role, which makes the group of the bots' roles.",
    "BOTFLEET_DATABASE_PASSWORD_FILE": "File with that role's password.",
    "BOTFLEET_MIGRATIONS_DIR": f"Folder with the migrations. Default `{migrate.DEFAULT_FOLDER}`.",
    "BOTFLEET_MIGRATE_DEADLINE_SECONDS": "How long a database that does not answer, or a table in use, is waited for. Default 300.",
    "BOTFLEET_LOG_FORMAT": "json, or console for a terminal. Default `json`.",
    "BOTFLEET_LOG_LEVEL": "Least level logged. Default `info`.",
}


def settings() -> str:
    """docs/settings.md."""
    parts = [
        _SETTINGS_INTRO.format(generated=_GENERATED),
        "## The runner: `botrunner run`\n",
        "\n".join(_table(("variable", "meaning", "default"), runner_rows())) + "\n",
        "The options of the command line win over the variables: `botrunner run --help`.\n",
        "## The operator: `botfleet-operator`\n",
        "\n".join(_table(("variable", "meaning", "default"), operator_rows())) + "\n",
        "## The migrations: `botfleet-migrate`\n",
        "\n".join(_table(("variable", "meaning"), [(f"`{k}`", v) for k, v in MIGRATE.items()])),
    ]
    return "\n".join(parts) + "\n"


def runner_rows() -> Iterator[tuple[str, str, str]]:
    """Variable, meaning and default of each setting of a runner that has a variable."""
    defaults = runner_config.Settings(manifest=Path("bot.yaml"))
    for name, said in _field_docs(runner_config.Settings).items():
        variable, _, meaning = said.partition(": ")
        if not variable.startswith("BOTFLEET_"):
            continue  # an option of the command line alone
        value = getattr(defaults, name)
        yield f"`{variable}`", _sentence(meaning[:1].upper() + meaning[1:]), _default(value)


def operator_rows() -> Iterator[tuple[str, str, str]]:
    """Variable, meaning and default of each setting of the operator."""
    for name, field in operator_settings.Settings.model_fields.items():
        required = field.default is PydanticUndefined
        variable = f"`{operator_settings.PREFIX}{name.upper()}`"
        yield variable, field.description or "", "**must be set**" if required else _default(field.default)


def metrics() -> str:
    """docs/metrics.md."""
    head = ("metric", "type", "meaning", "labels")
    runner, operator = RunnerMetrics(), OperatorMetrics()
    parts = [
        _METRICS_INTRO.format(generated=_GENERATED),
        "## The runner\n",
        "\n".join(_table(head, metric_rows(runner, _RUNNER_WORDS))) + "\n",
        "## The operator\n",
        "\n".join(_table(head, metric_rows(operator, _OPERATOR_WORDS))),
    ]
    return "\n".join(parts) + "\n"


def metric_rows(owner: object, words: dict[str, Iterable[str]]) -> Iterator[tuple[str, str, str, str]]:
    """Name, type, meaning and labels of each metric that is an attribute of `owner`.

    Raises:
        ValueError: `words` speaks of a metric that is not there.
    """
    rows: dict[str, tuple[str, str, str, str]] = {}
    for metric in vars(owner).values():
        if isinstance(metric, MetricWrapperBase):
            family = next(iter(metric.describe()))
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # there is no public way
            said = f"{labels}: {', '.join(str(word) for word in words[name])}" if name in words else labels
            rows[name] = (f"`{name}`", family.type, _sentence(family.documentation), said)
    if unknown := set(words) - set(rows):
        raise ValueError(f"labels of metrics that do not exist: {sorted(unknown)}")
    yield from rows.values()


def _field_docs(settings_class: type[Any]) -> dict[str, str]:
    """The texts that stand below the fields of a dataclass."""
    body = ast.parse(inspect.getsource(settings_class)).body[0]
    if not isinstance(body, ast.ClassDef):
        raise TypeError(f"{settings_class} is not a class")
    docs: dict[str, str] = {}
    for field, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            text = ast.literal_eval(after.value)
            docs[field.target.id] = " ".join(str(text).split())
    return docs


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)]


def _default(value: object) -> str:
    if value in (None, "", (), {}):
        return "–"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _sentence(text: str) -> str:
    return text if text.endswith(".") else text + "."
