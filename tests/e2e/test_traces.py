"""What "nothing is left behind" is seen by: what was left would be seen, and told line by line."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.traces import Traces, differences, same

pytestmark = [pytest.mark.e2e]

ROOT = Path(__file__).parents[2]
PLANTED = """
ip link set lo up
iptables -A INPUT -s 198.51.100.1 -j DROP
ip6tables -A INPUT -s 2001:db8::1 -j DROP
ip route add blackhole 198.51.100.0/24 table 77
ip -6 route add blackhole 2001:db8:1::/64
ip rule add from 198.51.100.2 lookup 77
ip -6 rule add from 2001:db8::2 lookup 77
"""


def test_a_rule_or_a_route_that_was_left_would_be_seen() -> None:
    if os.geteuid() != 0:
        pytest.skip("a network namespace to leave something in needs root")
    look = "from tests.e2e.traces import firewall, routes; print(*firewall(), *routes(set()), sep='\\n')"
    seen = subprocess.run(
        ["unshare", "--net", "sh", "-ec", f'{PLANTED}\nexec "$0" -c "$1"', sys.executable, look],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    words = ("198.51.100.1/32", "2001:db8::1/128", "198.51.100.0/24", "2001:db8:1::/64", "198.51.100.2", "2001:db8::2")
    assert [word for word in words if word not in seen] == [], seen


def test_only_the_lines_that_differ_are_told_and_those_of_the_machine_are_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = Traces(("a", "b"), (), (), (), ("rule 1", "rule 1"), ("route",), ("1",))
    changed = replace(before, firewall=("rule 1",), routes=("route", "another"))
    assert differences(before, changed) == ["firewall: gone: rule 1", "routes: new: another"]
    looks = [changed, before]
    monkeypatch.setattr("tests.e2e.traces.traces", lambda *_: looks.pop(0))
    same(before, "x")
    assert looks == []
    looks += [changed]
    with pytest.raises(AssertionError, match=r"firewall: gone: rule 1\nroutes: new: another$"):
        same(before, "x", seconds=0)
    looks += [replace(changed, processes=("a", "b", "left")), before]
    with pytest.raises(AssertionError, match=r"^processes: new: left"):
        same(before, "x")
