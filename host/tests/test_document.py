"""The kind document: it is recorded last, and only when what it removes is gone."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from corral_host.engine import Engine
from corral_host.errors import BadSpec, HostError
from corral_host.files import read_json
from corral_host.kinds.base import Found
from corral_host.kinds.bridge import Bridge
from corral_host.kinds.document import boot_id
from corral_host.serve import serve
from corral_host.session import Session, Settings

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "41-9f2c000000000000"
SPEC = {
    "ensure": "present",
    "node": "hv1.example.net",
    "roles": ["hypervisor"],
    "site": "fra1",
    "absent": [],
}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def host(state: Path) -> Engine:
    return Engine(Session(Settings(state_dir=state)))


def test_it_is_recorded_once_and_readable_for_all(host: Engine, state: Path) -> None:
    before = host.compare("document", {VERSION: SPEC})[VERSION]
    assert (before["present"], before["wanted"], before["error"]) == (False, True, None)
    assert not (state / "applied.json").exists()

    host.apply("document", VERSION, SPEC)

    record = read_json(state / "applied.json")
    assert record.pop("applied_at").endswith("Z")
    assert record.pop("boot_id") == boot_id()
    assert record == {
        "document": VERSION,
        "node": "hv1.example.net",
        "roles": ["hypervisor"],
        "site": "fra1",
    }
    assert (state / "applied.json").stat().st_mode & 0o777 == 0o644
    assert read_json(state / "pending.json") == {}
    stamp = (state / "applied.json").stat().st_mtime_ns
    again = host.apply("document", VERSION, SPEC)
    assert again["present"]
    assert (state / "applied.json").stat().st_mtime_ns == stamp
    assert list(host.list("document")) == [VERSION]


def test_another_version_replaces_it(host: Engine) -> None:
    host.apply("document", VERSION, SPEC)
    assert not host.apply("document", "42-aa", SPEC)["present"]
    assert list(host.list("document")) == ["42-aa"]


def test_it_is_refused_while_something_of_ours_is_left(
    host: Engine, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {
        "br-50-0": Found(managed=True, state="up", properties={}),
        "br-51-0": Found(managed=False, state="up", properties={}),
    }
    monkeypatch.setattr(Bridge, "found", lambda _self: there)
    absent = [{"kind": "bridge", "name": name} for name in ("br-50-0", "br-51-0", "br-52-0")]
    with pytest.raises(HostError, match=r"still on this host: bridge br-50-0$"):
        host.apply("document", VERSION, {**SPEC, "absent": absent})
    assert not (state / "applied.json").exists()

    del there["br-50-0"]
    host.apply("document", VERSION, {**SPEC, "absent": absent})
    assert read_json(state / "applied.json")["document"] == VERSION


def test_what_waits_is_recorded_also_when_the_version_stays(state: Path) -> None:
    session = Session(Settings(state_dir=state))
    host = Engine(session)
    host.apply("document", VERSION, SPEC)
    waiting = [{"property": "mtu", "current": "1", "wanted": "2", "reason": "x"}]
    session.pending["bridge", "br-1-0"] = waiting
    host.compare("document", {VERSION: SPEC})
    host.kind("document").finish()
    assert read_json(state / "pending.json") == {"bridge": {"br-1-0": waiting}}


def test_serve_records_it_at_the_end(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "load", classmethod(lambda _cls: Settings(state_dir=state)))
    request = {"id": 1, "op": "compare", "kind": "document", "things": {VERSION: SPEC}}
    answers = io.StringIO()
    serve(io.StringIO(json.dumps(request) + "\n"), answers)
    assert json.loads(answers.getvalue())["result"][VERSION]["error"] is None
    assert (state / "pending.json").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"node": ""}, "names no node"),
        ({"roles": "hypervisor"}, "roles must be a list"),
        ({"absent": {}}, "absent must be a list"),
        ({"absent": [{"kind": "bridge"}]}, "mappings with kind and name"),
        ({"absent": [{"kind": "cloud", "name": "x"}]}, "the kind 'cloud'"),
        ({"version": "1-2"}, "is version '1-2'"),
    ],
)
def test_a_document_that_cannot_be_right(host: Engine, change: dict, message: str) -> None:
    with pytest.raises(BadSpec, match=message):
        host.apply("document", VERSION, {**SPEC, **change})
    assert host.check({"document": {VERSION: {**SPEC, **change}}})[0]["code"] == "bad_spec"


def test_a_document_is_not_removed(host: Engine) -> None:
    host.apply("document", VERSION, SPEC)
    with pytest.raises(HostError, match="followed by the next one"):
        host.apply("document", VERSION, {"ensure": "absent"})
    assert list(host.list("document")) == [VERSION]


def test_a_spoilt_record_counts_as_none(host: Engine, state: Path) -> None:
    state.mkdir()
    (state / "applied.json").write_text('{"document": "41')
    assert host.list("document") == {}
    host.apply("document", VERSION, SPEC)
    assert list(host.list("document")) == [VERSION]


def test_an_older_one_is_refused_before_anything_is_touched(host: Engine, state: Path) -> None:
    host.apply("document", VERSION, SPEC)
    older = {"document": {"40-aaaa000000000000": SPEC}}
    (wrong,) = host.check(older)
    assert wrong["code"] == "older_document"
    assert "applied.json" in wrong["message"]
    assert host.check({"document": {"42-aaaa000000000000": SPEC}}) == []
    # A machine that has become another node begins anew.
    assert host.check({"document": {"1-aaaa000000000000": {**SPEC, "node": "hv2"}}}) == []


def test_it_is_recorded_again_after_a_boot(host: Engine, state: Path) -> None:
    host.apply("document", VERSION, SPEC)
    record = read_json(state / "applied.json")
    (state / "applied.json").write_text(json.dumps({**record, "boot_id": "another"}))
    (one,) = host.compare("document", {VERSION: SPEC})[VERSION]["differences"]
    assert (one["property"], one["current"]) == ("applied", "before this boot")
    host.apply("document", VERSION, SPEC)
    assert read_json(state / "applied.json")["boot_id"] == boot_id()
