"""When a run is started, and what is read from files and events; no processes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from corral_host.errors import HostError
from corral_host.hostd.api import parse
from corral_host.hostd.config import Config
from corral_host.hostd.plan import FIRST, LAST, SOON, Plan, backoff


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same each time


def test_a_new_version_is_run_within_its_spread() -> None:
    dues = []
    for seed in range(200):
        plan = Plan(seeded(seed))
        assert plan.serve("2-b", 60, "1-a", now=1000)
        assert not plan.ready("1-a", now=999)
        dues.append(plan.due - 1000)
    assert 0 <= min(dues) < 5
    assert 55 < max(dues) <= 60


def test_the_same_version_again_changes_nothing() -> None:
    plan = Plan(seeded(1))
    assert plan.serve("2-b", 60, "1-a", now=0)
    due = plan.due
    assert not plan.serve("2-b", 0, "1-a", now=1)
    assert plan.due == due


def test_an_applied_version_and_no_version_need_no_run() -> None:
    plan = Plan()
    assert not plan.serve("1-a", 0, "1-a", now=0)
    assert not plan.ready("1-a", now=100)
    assert not plan.serve(None, 0, "1-a", now=0)
    assert not Plan().ready(None, now=0)


def test_a_change_while_waiting_does_not_postpone() -> None:
    plan = Plan(seeded(1))
    plan.serve("2-b", 10, "1-a", now=0)
    due = plan.due
    plan.serve("3-c", 3600, "1-a", now=1)
    assert plan.due <= due


def test_failures_wait_longer_and_longer_and_a_new_version_does_not() -> None:
    plan, now, waits = Plan(seeded(1)), 0.0, []
    plan.serve("2-b", 0, "1-a", now)
    for _ in range(12):
        assert plan.ready("1-a", now)
        plan.ended("2-b", "1-a", now, busy=False)
        waits.append(plan.due - now)
        assert not plan.ready("1-a", now)
        now = plan.due
    assert FIRST * 0.8 <= waits[0] <= FIRST * 1.2
    assert all(one <= LAST * 1.2 for one in waits)
    assert waits[-1] >= LAST * 0.8
    assert waits[3] > waits[0] * 4
    plan.serve("3-c", 0, "1-a", now)
    assert plan.ready("1-a", now)
    plan.ended("3-c", "1-a", now, busy=False)
    assert plan.due - now <= FIRST * 1.2


def test_a_good_run_resets_the_failures() -> None:
    plan = Plan()
    plan.serve("2-b", 0, "1-a", 0)
    plan.ended("2-b", "1-a", 0, busy=False)
    plan.ended("2-b", "2-b", 50, busy=False)
    assert (plan.due, plan.failures) == (None, 0)
    assert not plan.ready("2-b", 1e9)


def test_what_comes_during_a_run_is_run_after_it() -> None:
    plan = Plan()
    plan.serve("2-b", 0, "1-a", 0)
    plan.serve("3-c", 0, "1-a", 1)
    plan.ended("2-b", "2-b", 5, busy=False)
    assert plan.ready("2-b", 5)


def test_the_run_of_somebody_else_is_waited_for() -> None:
    plan = Plan()
    plan.serve("2-b", 0, "1-a", 0)
    plan.ended("2-b", "1-a", 5, busy=True)
    assert (plan.due, plan.failures) == (5 + SOON, 0)


def test_a_record_that_was_lost_is_made_again() -> None:
    plan = Plan()
    plan.serve("2-b", 0, "2-b", 0)
    assert plan.ready(None, 7)


def test_backoff_has_jitter_and_an_end() -> None:
    chance = seeded(1)
    waits = [backoff(9, 0.5, 60, chance) for _ in range(100)]
    assert 30 <= min(waits) < max(waits) <= 90
    assert backoff(10**6, 0.5, 60, chance) <= 90


def test_events_are_parsed() -> None:
    lines = [
        b": keep-alive\n",
        b"\n",
        b"event: document\r\n",
        b"id: 2-b\r\n",
        b'data: {"version":"2-b",\r\n',
        b'data: "spread":3}\r\n',
        b"\r\n",
        b"event: document\n",
        b"data: nonsense\n",
        b"\n",
        b"event: other\n",
        b"data: {}\n",
        b"\n",
    ]
    assert list(parse(lines)) == [None, {"version": "2-b", "spread": 3, "id": "2-b"}, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"No such file.*url = https"),
        ("", r"set url to the API's address"),
        ("[hostd", r"hostd.conf: "),
        ("[hostd]\nurl = ftp://x", r"url = ftp://x: must be an address"),
        ("[hostd]\nurl = https://x\ntools = salt", r"unknown setting tools; there are url"),
        ("[hostd]\nurl = https://x\ntool = chef", r"tool = chef: must be puppet or salt"),
        ("[hostd]\nurl = https://x\ninterval = 0", r"interval = 0: must be seconds"),
        ("[hostd]\nurl = https://x\ninterval = x", r"interval = x: could not"),
        ("[hostd]\nurl = https://x\nnode = a/b", r"node = a/b: must be the node's full name"),
    ],
)
def test_wrong_settings_say_what_to_do(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "hostd.conf"
    if text is not None:
        path.write_text(text)
    with pytest.raises(HostError, match=message):
        Config.load(path)


def test_settings_have_defaults(tmp_path: Path) -> None:
    path = tmp_path / "hostd.conf"
    path.write_text("[hostd]\nurl = https://corral.example.net/\nnode = HV1.example.net\n")
    (tmp_path / "host.conf").write_text(f"[host]\nstate_dir = {tmp_path}\n")
    config = Config.load(path)
    assert config.url == "https://corral.example.net"
    assert (config.node, config.tool, config.interval) == ("hv1.example.net", "puppet", 10)
    assert config.token_file == Path("/etc/corral/node.token")
    assert config.host.state_dir == tmp_path
