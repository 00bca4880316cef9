"""Why: a message can be followed from its update to its reply: by one id in the log lines, and by how long each stage took.

Pure but for the metrics that it is given. Never a text, a chat or a person.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from botfleet.store.rows import InboxRow
from botrunner.metrics import Metrics


def traces(rows: Sequence[InboxRow]) -> dict[str, Any]:
    """The fields of a line about messages that are dealt with together: the reply has the id of the last one."""
    ids = [row.trace_id for row in rows]
    return {"trace_id": ids[-1] if ids else None, **({"joined": ids[:-1]} if len(ids) > 1 else {})}


def note_stages(metrics: Metrics, turn: Sequence[InboxRow], asked_at: datetime, answered_at: datetime) -> None:
    """How long the messages of an answered turn waited for the question, and the question for its answer."""
    for row in turn:
        metrics.stage_seconds.labels("waiting").observe(max(0.0, (asked_at - row.received_at).total_seconds()))
    metrics.stage_seconds.labels("model").observe(max(0.0, (answered_at - asked_at).total_seconds()))
