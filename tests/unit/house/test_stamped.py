"""What tests of the time between two lines stand on."""

import os
import subprocess
import time

from tests.support.stamped import StampedLines


def test_a_line_has_the_moment_at_which_it_was_written_however_late_it_is_read() -> None:
    output = StampedLines()
    script = "printf 'fi'; echo rst; echo now >&2; read _; echo 'sec…nd'; printf 'no end'"
    with subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stdout=output.end, stderr=subprocess.PIPE
    ) as process:
        os.close(output.end)
        assert process.stderr is not None
        assert process.stderr.readline() == b"now\n"
        between = time.time()
        process.communicate(b"\n", 20)
    ended = time.time()
    output.read()
    assert [line for _, line in output.lines] == ["first\n", "sec…nd\n", "no end"]
    (first, _), (second, _), _ = output.lines
    assert first <= between <= second <= ended
