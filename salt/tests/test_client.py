"""Getting a document: from Corral, from the copy, or not at all."""

from __future__ import annotations

import json
import logging
import threading
import time

import pytest
from conftest import MINION, TOKEN, VERSION, pillar, settings_for

from saltext.corral import cache, client
from saltext.corral.errors import BadAnswerError, ConfigError, GoneError, UnreachableError

HEAD = f"HTTP/1.1 200 OK\r\nCorral-Node: {MINION}\r\nCorral-Document: {VERSION}\r\n"


def break_off(server) -> None:
    server.raw(f"{HEAD}Content-Length: 5000\r\n\r\n".encode() + json.dumps(pillar()).encode())


def test_fresh_then_unchanged_then_fresh(server, settings):
    assert client.get(settings, "pillar", MINION) == (pillar(), VERSION, "fresh", 0.0, "")
    assert client.get(settings, "pillar", MINION) == (pillar(), VERSION, "unchanged", 0.0, "")
    server.version = "42-new"
    server.bodies[f"/pillar/{MINION}"] = pillar(version="42-new")
    assert client.get(settings, "pillar", MINION)[1:3] == ("42-new", "fresh")
    paths = [path for path, _ in server.requests]
    assert paths == [f"/pillar/{MINION}"] * 3
    assert server.requests[0][1]["Authorization"] == f"Bearer {TOKEN}"
    assert "If-None-Match" not in server.requests[0][1]
    assert "If-None-Match" in server.requests[1][1]


def test_unchanged_tops_of_a_newer_document_tell_the_newer_version(server, settings):
    client.get(settings, "tops", MINION)
    server.version = "42-new"
    assert client.get(settings, "tops", MINION)[1:3] == ("42-new", "unchanged")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_falls_back_on_the_copy(server, settings, status):
    client.get(settings, "pillar", MINION)
    server.always(status, b"no JSON")
    served = client.get(settings, "pillar", MINION, clock=lambda: time.time() + 100)
    assert served.document == pillar()
    assert served.source == "stale"
    assert served.age == pytest.approx(100, abs=5)
    assert f"answered {status}" in served.reason


def test_a_copy_counts_from_the_last_confirmation(server, settings):
    start = time.time()
    client.get(settings, "pillar", MINION, clock=lambda: start)
    client.get(settings, "pillar", MINION, clock=lambda: start + 80_000)
    server.always(500, b"")
    served = client.get(settings, "pillar", MINION, clock=lambda: start + 80_000 + 86_400)
    assert served.age == 86_400
    with pytest.raises(UnreachableError, match="86401 s old, older than max_age 86400 s"):
        client.get(settings, "pillar", MINION, clock=lambda: start + 80_000 + 86_401)


def test_a_copy_from_the_future_has_no_known_age(server, settings):
    client.get(settings, "pillar", MINION)
    server.always(500, b"")
    assert client.get(settings, "pillar", MINION, clock=lambda: time.time() - 30).age == 0
    with pytest.raises(UnreachableError, match="from the future"):
        client.get(settings, "pillar", MINION, clock=lambda: time.time() - 3600)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (202, BadAnswerError),
        (206, BadAnswerError),
        (302, BadAnswerError),
        (400, BadAnswerError),
        (401, BadAnswerError),
        (403, BadAnswerError),
        (404, GoneError),
        (410, GoneError),
        (429, BadAnswerError),
    ],
)
def test_other_statuses_never_fall_back(server, settings, status, error):
    client.get(settings, "pillar", MINION)
    server.always(status, b'{"code": "some_code", "detail": "Some\\n detail."}')
    with pytest.raises(error, match=f"answered {status} for {MINION}"):
        client.get(settings, "pillar", MINION)


def test_the_problem_is_in_the_message(server, settings):
    server.always(403, b'{"code": "forbidden", "detail": "This token is\\nfor hv2."}')
    with pytest.raises(BadAnswerError, match=r"\(forbidden: This token is for hv2\.\)"):
        client.get(settings, "pillar", MINION)


@pytest.mark.parametrize("status", [404, 410])
def test_a_node_that_is_gone_loses_its_copy(server, settings, status):
    client.get(settings, "pillar", MINION)
    server.always(status, b"")
    with pytest.raises(GoneError):
        client.get(settings, "pillar", MINION)
    server.always(500, b"")
    with pytest.raises(UnreachableError, match="there is no copy"):
        client.get(settings, "pillar", MINION)


@pytest.mark.parametrize(
    "document",
    [
        [],
        "text",
        None,
        {},
        {"corral": []},
        {"corral": {**pillar()["corral"], "node": "hv2.example.net"}},
        {"corral": {**pillar()["corral"], "document": "40-older"}},
        {"corral": {**pillar()["corral"], "roles": []}},
        {"corral": {**pillar()["corral"], "roles": "hypervisor"}},
        {"corral": {"node": MINION}},
        {**pillar(), "number": float("nan")},
        {**pillar(), "text": "\ud800"},
    ],
)
def test_a_wrong_pillar_is_an_error_and_is_not_kept(server, settings, document):
    client.get(settings, "pillar", MINION)
    server.always(200, json.dumps(document).encode())
    with pytest.raises(BadAnswerError):
        client.get(settings, "pillar", MINION)
    server.answer = None
    assert client.get(settings, "pillar", MINION).source == "unchanged"


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"base": []},
        {"base": "corral"},
        {"base": [1]},
        {"base": ["*"]},
        {"base": ["../x"]},
        {"base": [""]},
    ],
)
def test_wrong_tops_are_an_error(server, settings, document):
    server.bodies[f"/tops/{MINION}"] = document
    with pytest.raises(BadAnswerError):
        client.get(settings, "tops", MINION)


@pytest.mark.parametrize("kind", ["pillar", "tops"])
@pytest.mark.parametrize("node", ["hv2.example.net", "HV1.example.net", ""])
def test_the_answer_has_to_be_for_the_node(server, settings, kind, node):
    client.get(settings, kind, MINION)
    server.node = node
    with pytest.raises(BadAnswerError, match="another node"):
        client.get(settings, kind, MINION)


@pytest.mark.parametrize("header", ["Corral-Node", "Corral-Document"])
def test_an_answer_without_its_headers_is_an_error(server, settings, header):
    lines = [line for line in HEAD.splitlines() if not line.startswith(header)]
    body = json.dumps(pillar())
    server.raw(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
    with pytest.raises(BadAnswerError):
        client.get(settings, "pillar", MINION)


@pytest.mark.parametrize(
    "data",
    [
        f"{HEAD}Content-Length: 100\r\n\r\n{{".encode(),
        f"{HEAD}Content-Length: 1\r\n\r\n{{".encode(),
        f"{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\n{{".encode(),
        f"{HEAD}".encode(),
        b"garbage\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        f"{HEAD}\r\n".encode() + b"[" * 100_000,
        f"{HEAD}\r\n".encode() + b'{"corral": "\xff"}',
    ],
)
def test_answers_that_break_off_or_make_no_sense_never_fall_back(server, settings, data):
    client.get(settings, "tops", MINION)
    cache.forget(settings, "pillar", MINION)
    server.raw(data)
    with pytest.raises(BadAnswerError):
        client.get(settings, "pillar", MINION)


def test_a_whole_document_that_is_announced_longer_breaks_off(server, settings):
    client.get(settings, "pillar", MINION)
    break_off(server)
    with pytest.raises(BadAnswerError, match="breaks off"):
        client.get(settings, "pillar", MINION)


def test_a_body_without_end_is_an_error(server, settings, monkeypatch):
    monkeypatch.setattr("saltext.corral.transport.LARGEST_BODY", 1000)
    server.always(200, b"x" * 2000)
    with pytest.raises(BadAnswerError, match="more than 1000 bytes"):
        client.get(settings, "pillar", MINION)


def test_refused(server, settings, closed_port, tmp_path):
    refused = settings_for(server, tmp_path, url=f"http://127.0.0.1:{closed_port}")
    with pytest.raises(UnreachableError, match=r"Connection refused, and there is no copy"):
        client.get(refused, "pillar", MINION)


def test_a_closed_connection_falls_back(server, settings):
    client.get(settings, "pillar", MINION)
    server.raw(b"")
    assert client.get(settings, "pillar", MINION).source == "stale"


def test_an_unknown_name_falls_back(server, tmp_path):
    unknown = settings_for(server, tmp_path, url="http://corral.invalid", timeout=5)
    with pytest.raises(UnreachableError, match=r"cannot reach|no whole answer"):
        client.get(unknown, "pillar", MINION)


def test_hang(server, silent_port, tmp_path):
    for scheme in ("http", "https"):
        hangs = settings_for(server, tmp_path, url=f"{scheme}://127.0.0.1:{silent_port}")
        started = time.monotonic()
        with pytest.raises(UnreachableError, match=r"no whole answer from .* within 0\.5 s"):
            client.get(hangs, "pillar", MINION)
        assert 0.4 < time.monotonic() - started < 0.8


@pytest.mark.parametrize("head", [b"", f"{HEAD}Content-Length: 5000\r\n\r\n".encode()])
def test_drip(server, settings, head):
    """A byte every 0.1 s keeps any socket's timeout of 0.5 s from ever passing."""
    client.get(settings, "pillar", MINION)

    def answer(handler):
        handler.wfile.write(head)
        for byte in HEAD:
            handler.wfile.write(byte.encode())
            time.sleep(0.1)

    server.answer = answer
    started = time.monotonic()
    assert client.get(settings, "pillar", MINION).source == "stale"
    assert 0.4 < time.monotonic() - started < 0.8


def test_a_slow_lookup_of_a_name_is_within_the_deadline(server, settings, monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: time.sleep(2))
    started = time.monotonic()
    with pytest.raises(UnreachableError, match="no whole answer"):
        client.get(settings, "pillar", MINION)
    assert time.monotonic() - started < 0.8


def test_tls_with_a_client_certificate(tls_server, certificates, tmp_path):
    files = {
        "ca_file": str(certificates / "ca.pem"),
        "cert_file": str(certificates / "client.pem"),
        "key_file": str(certificates / "client.key"),
    }
    good = settings_for(tls_server, tmp_path, **files)
    assert client.get(good, "pillar", MINION).source == "fresh"
    stranger = settings_for(tls_server, tmp_path, ca_file=str(certificates / "stranger.pem"))
    assert client.get(stranger, "pillar", MINION).source == "stale"
    anonymous = settings_for(tls_server, tmp_path, ca_file=str(certificates / "ca.pem"))
    served = client.get(anonymous, "pillar", MINION)
    assert served.source == "stale"
    wrong = settings_for(tls_server, tmp_path, ca_file=str(certificates / "ca.key"))
    with pytest.raises(ConfigError, match="ca_file"):
        client.get(wrong, "pillar", MINION)
    mixed = settings_for(
        tls_server, tmp_path, **{**files, "key_file": str(certificates / "server.key")}
    )
    with pytest.raises(ConfigError, match="cert_file, key_file"):
        client.get(mixed, "pillar", MINION)


def test_a_name_that_the_certificate_does_not_have_falls_back(tls_server, certificates, tmp_path):
    other = settings_for(
        tls_server,
        tmp_path,
        url=tls_server.url.replace("127.0.0.1", "localhost"),
        ca_file=str(certificates / "ca.pem"),
    )
    with pytest.raises(UnreachableError, match=r"TLS error .*[Hh]ostname mismatch"):
        client.get(other, "pillar", MINION)


@pytest.mark.parametrize("token", ["", "two words", "two\nlines", "t\u00f6ken"])
def test_a_bad_token_file_never_falls_back(server, settings, tmp_path, token):
    client.get(settings, "pillar", MINION)
    (tmp_path / "token").write_text(token)
    with pytest.raises(ConfigError, match="token_file"):
        client.get(settings, "pillar", MINION)
    (tmp_path / "token").unlink()
    with pytest.raises(ConfigError, match="No such file"):
        client.get(settings, "pillar", MINION)


def test_the_token_is_read_anew(server, settings, tmp_path):
    (tmp_path / "token").write_text("old")
    with pytest.raises(BadAnswerError, match="401"):
        client.get(settings, "pillar", MINION)
    (tmp_path / "token").write_text(TOKEN)
    assert client.get(settings, "pillar", MINION).source == "fresh"


@pytest.mark.parametrize(
    ("minion", "segment"),
    [
        ("a b", "a%20b"),
        ("../../tops/x", "..%2F..%2Ftops%2Fx"),
        ("x?y#z", "x%3Fy%23z"),
        ("\u00fcber", "%C3%BCber"),
        ("a%2Fb", "a%252Fb"),
        ("a\r\nX-Header: b", "a%0D%0AX-Header%3A%20b"),
    ],
)
def test_odd_minion_ids_are_one_segment(server, settings, minion, segment):
    server.always(404, b"")
    with pytest.raises(GoneError):
        client.get(settings, "pillar", minion)
    assert server.requests[0][0] == f"/pillar/{segment}"


@pytest.mark.parametrize("minion", ["", ".", "..", None, 17, ["x"], "\ud800"])
def test_what_cannot_be_a_minion_id_is_not_asked_for(server, settings, minion):
    with pytest.raises(BadAnswerError, match="cannot be the id"):
        client.get(settings, "pillar", minion)
    assert server.requests == []


def test_a_path_in_the_url_is_kept(server, settings, tmp_path):
    server.bodies[f"/corral/pillar/{MINION}"] = pillar()
    behind = settings_for(server, tmp_path, url=f"{server.url}/corral/")
    assert client.get(behind, "pillar", MINION).source == "fresh"


def test_one_line_for_each_serve(server, settings, caplog, tmp_path):
    caplog.set_level(logging.INFO)
    inline = {"url": server.url, "token_file": settings.token_file, "cache_dir": settings.cache_dir}
    for answer in (None, None, lambda handler: server.send(handler, 500, b"")):
        server.answer = answer
        client.serve("pillar", MINION, None, inline)
    cache.forget(settings, "pillar", MINION)
    with pytest.raises(UnreachableError):
        client.serve("pillar", MINION, None, inline)
    start = f"corral pillar minion={MINION}"
    reason = f"Corral answered 500 for {MINION}"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", f"{start} version={VERSION} source=fresh age=0s"),
        ("INFO", f"{start} version={VERSION} source=unchanged age=0s"),
        ("WARNING", f"{start} version={VERSION} source=stale age=0s: {reason}"),
        ("ERROR", f"{start} source=none: {reason}, and there is no copy of an earlier document"),
    ]


def test_no_thread_is_left_behind(server, settings, silent_port, tmp_path):
    hangs = settings_for(server, tmp_path, url=f"http://127.0.0.1:{silent_port}", timeout=0.1)
    before = set(threading.enumerate())
    for _ in range(5):
        with pytest.raises(UnreachableError):
            client.get(hangs, "pillar", MINION)
    time.sleep(0.3)
    left = set(threading.enumerate()) - before
    assert [thread for thread in left if thread.name == "corral"] == []
