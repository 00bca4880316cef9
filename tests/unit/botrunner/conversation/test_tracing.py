"""Each message of a turn can be followed to the reply, and each stage of the reply is measured once."""

from datetime import UTC, datetime, timedelta

from botfleet.store.rows import InboxRow
from botrunner.conversation.tracing import note_stages, traces
from botrunner.metrics import Metrics

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def row(number: int, received_at: datetime = NOW) -> InboxRow:
    return InboxRow(5, number, 5, None, "text", NOW, None, None, None, f"trace{number}", received_at, "pending", None)


def test_what_is_dealt_with_together_has_the_id_of_the_last_and_names_the_others() -> None:
    assert traces([row(1), row(2), row(3)]) == {"trace_id": "trace3", "joined": ["trace1", "trace2"]}
    assert traces([row(1)]) == {"trace_id": "trace1"}
    assert traces([]) == {"trace_id": None}


def test_each_message_has_waited_by_itself_and_the_question_is_asked_once() -> None:
    metrics, asked = Metrics(), NOW + timedelta(seconds=10)
    note_stages(metrics, [row(1), row(2, NOW + timedelta(seconds=4))], asked, asked + timedelta(seconds=3))

    def sample(kind: str, stage: str) -> float | None:
        return metrics.registry.get_sample_value(f"botfleet_runner_reply_stage_seconds_{kind}", {"stage": stage})

    assert (sample("count", "waiting"), sample("sum", "waiting")) == (2, 16)
    assert (sample("count", "model"), sample("sum", "model")) == (1, 3)
