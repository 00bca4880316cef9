"""Programs are run with a deadline, and a failure shows the end of their output."""

import sys
from pathlib import Path

import pytest

from botfleet_tools.run import SHOWN_COMMAND_LENGTH, CommandFailedError, capture, run, shown, tail


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def test_a_failure_carries_the_end_of_the_log_and_names_it(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "x.log"
    with pytest.raises(CommandFailedError) as caught:
        run(python("print('the reason'); raise SystemExit(7)"), log=log, deadline_seconds=20)
    assert caught.value.returncode == 7
    assert "the reason" in str(caught.value)
    assert str(log) in str(caught.value)


def test_a_program_that_lasts_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match=r"did not end within 0 s") as caught:
        run(python("import time; time.sleep(60)"), log=tmp_path / "x.log", deadline_seconds=0.2)
    assert caught.value.returncode is None


def test_capture_returns_the_output_and_a_failure_carries_the_errors() -> None:
    assert capture(python("print('out')"), deadline_seconds=20) == "out\n"
    with pytest.raises(CommandFailedError, match="the reason"):
        capture(python("import sys; sys.exit('the reason')"), deadline_seconds=20)


def test_standard_input_is_given_and_not_logged(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    run(python("import sys; print(len(sys.stdin.read()))"), log=log, deadline_seconds=20, stdin=b"planted-secret")
    assert "14" in log.read_text()
    assert "planted-secret" not in log.read_text()


def test_standard_input_may_be_a_file(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_text("from a file")
    log = tmp_path / "x.log"
    run(python("import sys; print(sys.stdin.read())"), log=log, deadline_seconds=20, stdin=source)
    assert "from a file" in log.read_text()
    with pytest.raises(CommandFailedError, match="no-such-file"):
        run(python(""), log=log, deadline_seconds=20, stdin=tmp_path / "no-such-file")


def test_the_environment_is_added_to(tmp_path: Path) -> None:
    code = "import os; print(os.environ['ADDED'], bool(os.environ['PATH']))"
    assert capture(python(code), deadline_seconds=20, env={"ADDED": "yes"}) == "yes True\n"


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(CommandFailedError, match="no-such-program"):
        capture(["no-such-program"], deadline_seconds=5)


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert tail(log) == ""
    log.write_text("\n".join(str(number) for number in range(100)))
    assert tail(log, 2) == "98\n99"


def test_long_commands_are_shown_shortened() -> None:
    assert shown(["echo", "a b"]) == "echo 'a b'"
    assert len(shown(["x" * 1000])) == SHOWN_COMMAND_LENGTH
