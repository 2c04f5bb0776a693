"""The copies on disk."""

from __future__ import annotations

import json
import stat
import threading

import pytest
from conftest import MINION, VERSION, pillar

from saltext.corral import cache, client
from saltext.corral.config import Settings

COPY = cache.Copy('"etag"', VERSION, 1000.0, pillar())


@pytest.fixture
def settings(tmp_path):
    return Settings(url="http://127.0.0.1", cache_dir=str(tmp_path / "a" / "cache"))


def test_what_is_written_is_read(settings):
    assert cache.read(settings, "pillar", MINION) is None
    cache.write(settings, "pillar", MINION, COPY)
    assert cache.read(settings, "pillar", MINION) == COPY
    assert cache.read(settings, "tops", MINION) is None
    cache.forget(settings, "pillar", MINION)
    cache.forget(settings, "pillar", MINION)
    assert cache.read(settings, "pillar", MINION) is None


def test_only_the_owner_may_look(settings):
    cache.write(settings, "pillar", MINION, COPY)
    path = cache.path_of(settings, "pillar", MINION)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [file.name for file in path.parent.iterdir()] == [f"{MINION}.json"]


@pytest.mark.parametrize(
    "minion", ["../../etc/passwd", "/etc/passwd", "a/b", "\x00", "\n", "ü" * 100, "x" * 5000, "%2e"]
)
def test_odd_ids_stay_in_the_folder(settings, minion):
    path = cache.path_of(settings, "pillar", minion)
    assert path.parent.resolve() == path.resolve().parent
    assert len(path.name.encode()) <= 255 - len(".new-12345678")
    copy = COPY._replace(document=pillar(minion))
    cache.write(settings, "pillar", minion, copy)
    assert cache.read(settings, "pillar", minion) == copy


def test_long_ids_do_not_share_a_file(settings):
    paths = {cache.path_of(settings, "pillar", "x" * n) for n in range(190, 300)}
    assert len(paths) == 110


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        json.dumps({"url": "http://127.0.0.1", "kind": "pillar", "node": MINION}).encode(),
    ],
)
def test_a_broken_copy_is_none(settings, content):
    cache.write(settings, "pillar", MINION, COPY)
    cache.path_of(settings, "pillar", MINION).write_bytes(content)
    assert cache.read(settings, "pillar", MINION) is None


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://elsewhere"},
        {"kind": "tops"},
        {"node": "hv2.example.net"},
        {"document": pillar("hv2.example.net")},
        {"version": "40-older"},
        {"confirmed": "yesterday"},
        {"etag": 17},
    ],
)
def test_a_copy_of_something_else_is_none(settings, change):
    cache.write(settings, "pillar", MINION, COPY)
    path = cache.path_of(settings, "pillar", MINION)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert cache.read(settings, "pillar", MINION) is None


def test_a_broken_copy_does_not_stop_a_fresh_document(server, tmp_path):
    from conftest import settings_for  # noqa: PLC0415

    settings = settings_for(server, tmp_path)
    client.get(settings, "pillar", MINION)
    cache.path_of(settings, "pillar", MINION).write_bytes(b"{")
    assert client.get(settings, "pillar", MINION).source == "fresh"


def test_a_folder_that_cannot_be_written_does_not_stop_a_fresh_document(server, tmp_path, caplog):
    from conftest import settings_for  # noqa: PLC0415

    (tmp_path / "file").write_text("")
    settings = settings_for(server, tmp_path, cache_dir=str(tmp_path / "file" / "cache"))
    assert client.get(settings, "pillar", MINION).source == "fresh"
    assert "cannot keep a copy" in caplog.text


def test_readers_never_see_half_a_copy(settings):
    large = COPY._replace(document={"corral": {**pillar()["corral"], "x": "y" * 200_000}})
    cache.write(settings, "pillar", MINION, COPY)
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            cache.write(settings, "pillar", MINION, large)
            cache.write(settings, "pillar", MINION, COPY)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(200):
            assert cache.read(settings, "pillar", MINION) in (COPY, large)
    finally:
        done.set()
        for writer in writers:
            writer.join()
