"""Telethon's log lines hold what passed through it; ours hold its phrases only."""

from structlog.testing import capture_logs

from botrunner.telegram.logs import TelethonLogger


def test_arguments_texts_and_tracebacks_stay_out():
    logger = TelethonLogger()
    with capture_logs() as logs:
        logger.warning("Note: %s is not an update, not dispatching it %s", "Message", "my secret message")
        try:
            int("my secret message")
        except ValueError:
            logger.exception("Unhandled error while processing msgs")
    assert [line["phrase"] for line in logs] == [
        "Note: %s is not an update, not dispatching it %s",
        "Unhandled error while processing msgs",
    ]
    assert logs[1]["error"] == "ValueError"
    assert "secret" not in str(logs)


def test_children_are_no_way_round():
    logger = TelethonLogger()
    with capture_logs() as logs:
        logger.getChild("network.mtprotosender").info("Received response without parent request: %s", b"secret")
        logger.getChild("client.updates").warning("one %s", "secret")
    assert [line["phrase"] for line in logs] == ["one %s"]


def test_the_end_of_the_update_loop_is_told_elsewhere():
    with capture_logs() as logs:
        TelethonLogger().error("Fatal error handling updates (this is a bug in Telethon v1.45.0, please report it)")
    assert logs == []
