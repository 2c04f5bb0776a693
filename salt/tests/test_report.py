"""What Corral is told of a run, and when."""

from __future__ import annotations

import datetime as dt
import os
import queue
import threading
import time

import pytest
from conftest import MINION, settings_for

from saltext.corral import report, spool
from saltext.corral.engines import corral_reports
from saltext.corral.errors import UnreachableError
from saltext.corral.returners import corral as returner

GOOD = {"result": True, "changes": {}, "comment": "", "duration": 250.0, "name": "vm-7"}
KEY = "corral_|-corral: domain vm-7_|-vm-7_|-domain"


def job(**more: object) -> dict:
    about = {"id": MINION, "jid": "20261121035405123456", "fun": "state.apply", "fun_args": []}
    event = {"_stamp": "2026-11-21T03:54:09.000001", "retcode": 0, "return": {KEY: GOOD}}
    return {**about, **event, **more}


def test_report_of_a_run():
    assert report.report_of(job()) == {
        "id": MINION,
        "jid": "20261121035405123456",
        "fun": "state.apply",
        "fun_args": [],
        "return": {KEY: GOOD},
        "retcode": 0,
        "success": True,
        "test": False,
        "started": "2026-11-21T03:54:05.123456+00:00",
        "finished": "2026-11-21T03:54:09.000001+00:00",
    }


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"return": {KEY: {**GOOD, "result": False}}}, {"success": False, "test": False}),
        ({"return": {KEY: {**GOOD, "result": None}}}, {"success": True, "test": True}),
        ({"fun_args": ["test=True"]}, {"test": True}),
        ({"fun_args": ["corral", {"__kwarg__": True, "test": True}]}, {"test": True}),
        ({"fun_args": ["corral", {"__kwarg__": True, "test": False}]}, {"test": False}),
        # A run that failed to compile; salt-call has its lines in a list, an exception is a text.
        (
            {"return": ["No matching sls found"]},
            {"success": False, "return": ["No matching sls found"]},
        ),
        ({"return": "The minion function caused an exception"}, {"success": False}),
        # With a master, salt-call gets its job id at the end.
        ({"jid": "20261121035409000000"}, {"started": "2026-11-21T03:54:08.750001+00:00"}),
        ({"jid": "req"}, {"started": "2026-11-21T03:54:08.750001+00:00"}),
    ],
)
def test_report_of_other_runs(more, expected):
    told = report.report_of(job(**more))
    assert {key: told[key] for key in expected} == expected


@pytest.mark.parametrize(
    "more",
    [
        {"fun": "test.ping", "return": True},
        {"return": {"file_|-/etc/motd_|-/etc/motd_|-managed": GOOD}},
        {"return": ["No matching sls found for 'nginx'"], "fun_args": ["nginx"]},
        {"return": ['The function "state.apply" is running as PID 7 and was started at ...']},
        {"return": []},
        {"return": None},
    ],
)
def test_what_is_none_of_its_business(more):
    assert report.report_of(job(**more)) is None


def test_states_of_others_tell_no_secrets():
    other = {**GOOD, "changes": {"diff": "+password = secret"}}
    mine = {**GOOD, "changes": {"state": {"old": "stopped", "new": "running"}}}
    told = report.report_of(job(**{"return": {KEY: mine, "file_|-a_|-a_|-managed": other}}))
    assert told["return"][KEY] == mine
    assert told["return"]["file_|-a_|-a_|-managed"] == {**GOOD, "changes": {"diff": "changed"}}


def test_pending_goes_along():
    pending = [{"property": "vcpus_max", "current": "1", "wanted": "4", "reason": None}]
    told = report.report_of(job(**{"return": {KEY: {**GOOD, "pending": pending}}}))
    assert told["return"][KEY]["pending"] == pending


@pytest.mark.parametrize(
    ("status", "done"),
    [
        *((status, True) for status in (200, 202, 404, 422)),
        *((status, False) for status in (302, 401, 403, 429, 500)),
    ],
)
def test_answers(server, settings, status, done):
    server.always(status, b"{}")
    assert report.post(settings, report.encode(report.report_of(job()))) is done
    assert server.requests[0][0] == "/reports/salt"
    assert server.reports == [report.report_of(job())]


def test_no_answer(settings, server, closed_port, tmp_path):
    away = settings_for(server, tmp_path, url=f"http://127.0.0.1:{closed_port}")
    with pytest.raises(UnreachableError):
        report.post(away, b"{}")
    spool.put(away, b'{"jid": 1}')
    spool.put(away, b'{"jid": 2}')
    assert not spool.flush(away)
    assert len(spool.waiting(away)) == 2
    assert oct(spool.waiting(away)[0].stat().st_mode)[-3:] == "600"
    # The same folder, and Corral is back: in their order.
    assert spool.flush(settings)
    assert server.reports == [{"jid": 1}, {"jid": 2}]
    assert spool.waiting(settings) == []


def test_one_that_is_refused_holds_up_no_other(server, settings):
    def answer(handler):
        server.send(handler, 500 if server.reports[-1]["jid"] == 1 else 200, b"")

    server.answer = answer
    for number in (1, 2):
        spool.put(settings, b'{"jid": %d}' % number)
    assert not spool.flush(settings)
    (left,) = spool.waiting(settings)
    assert left.read_bytes() == b'{"jid": 1}'
    old = time.time_ns() - int((settings.max_age + 1) * 1e9)
    left.rename(left.with_name(f"{old:020d}-1.json"))
    assert spool.flush(settings)
    assert spool.waiting(settings) == []


def test_the_spool_is_bounded(settings, monkeypatch):
    monkeypatch.setattr(spool, "MOST", 3)
    for number in range(5):
        spool.put(settings, b"%d" % number)
    assert [path.read_bytes() for path in spool.waiting(settings)] == [b"2", b"3", b"4"]
    monkeypatch.setattr(spool, "MOST_BYTES", 2)
    spool.put(settings, b"5")
    assert [path.read_bytes() for path in spool.waiting(settings)] == [b"4", b"5"]


def test_a_spool_that_cannot_be_written_fails_nothing(server, tmp_path, caplog):
    (tmp_path / "cache").write_text("not a folder")
    spool.put(settings_for(server, tmp_path), b"{}")
    assert "report lost" in caplog.text


def test_returner(server, settings, monkeypatch, tmp_path):
    inline = {"url": server.url, "token_file": settings.token_file, "cache_dir": settings.cache_dir}
    monkeypatch.setattr(returner, "__opts__", {"corral": inline}, raising=False)
    returner.returner({**job(), "success": True})
    returner.returner(job(fun="test.ping", **{"return": True}))
    assert [told["jid"] for told in server.reports] == ["20261121035405123456"]
    monkeypatch.setattr(returner, "__opts__", {"corral": {"urll": ""}}, raising=False)
    returner.returner(job())


def wait_for(what) -> None:
    end = time.monotonic() + 5
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_engine_posts_and_keeps(server, settings, monkeypatch):
    monkeypatch.setattr(corral_reports, "_SOONEST", 0.05)
    sender = corral_reports.Sender(settings)
    threading.Thread(target=sender.run, daemon=True).start()
    sender.take(job(jid="1"))
    sender.take(job(fun="test.ping"))
    sender.take({"fun": "state.apply"})
    wait_for(lambda: [told["jid"] for told in server.reports] == ["1"])
    server.always(503, b"{}")
    sender.take(job(jid="2"))
    sender.take(job(jid="3"))
    wait_for(lambda: len(spool.waiting(settings)) == 2)
    server.answer = None
    server.reports.clear()
    wait_for(lambda: spool.waiting(settings) == [])
    assert [told["jid"] for told in server.reports][-2:] == ["2", "3"]


def test_the_bus_never_waits(server, settings, monkeypatch):
    """A Corral that hangs costs the reader of events nothing; what is too much goes to the disk."""
    gate = threading.Event()
    server.answer = lambda handler: gate.wait(5)
    sender = corral_reports.Sender(settings)
    sender._queue = queue.Queue(2)
    threading.Thread(target=sender.run, daemon=True).start()
    began = time.monotonic()
    for number in range(50):
        sender.take(job(jid=str(number)))
    assert time.monotonic() - began < 0.4
    gate.set()
    assert len(spool.waiting(settings)) >= 47


def test_times_are_utc(monkeypatch):
    monkeypatch.setitem(os.environ, "TZ", "America/New_York")
    time.tzset()
    now = dt.datetime(2026, 11, 21, 3, 54, 9, tzinfo=dt.timezone.utc)
    told = report.report_of(job(_stamp=None), now)
    monkeypatch.undo()
    time.tzset()
    assert told["started"] == "2026-11-21T03:54:05.123456+00:00"
    assert told["finished"] == "2026-11-21T03:54:09+00:00"
