"""Volumes that are filled from images: a real web server, real qemu-img, runs that are killed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.volumes import MIB, compare, differing, info, qemu_img, volume
from support.web import Server
from test_pool import dir_pool

from corral_host.errors import HostError
from corral_host.kinds import images, pool

SOURCE = Path(pool.__file__).parents[2]

APPLY = """
import json, sys
from pathlib import Path
from corral_host.engine import Engine
from corral_host.session import Session, Settings
engine = Engine(Session(Settings(state_dir=Path(sys.argv[1]))))
engine.apply("volume", sys.argv[2], json.loads(sys.argv[3]))
"""

# In the place of qemu-img: does what it should at `convert`, up to a moment, and ends the engine.
SHIM = """#!/bin/sh
if [ "$1" = "$STOP_AT" ]; then
  [ "$STOP_WHEN" = after ] && /usr/bin/qemu-img "$@"
  [ "$STOP_WHEN" = before ] && for last; do :; done && head -c 100000 /dev/urandom >"$last"
  kill -9 $PPID
  exit 1
fi
exec /usr/bin/qemu-img "$@"
"""


@pytest.fixture
def folder(engine, tmp_path):
    path = tmp_path / "images"
    spec = dir_pool("local", path)
    engine.apply("pool", "local", spec)
    yield path
    engine.kind("pool").forget()
    engine.apply("pool", "local", {"ensure": "absent"})


@pytest.fixture
def content(tmp_path):
    """Data of 8 MiB that no compression makes nothing of."""
    path = tmp_path / "content.raw"
    path.write_bytes(os.urandom(8 * MIB))
    return path


@pytest.fixture
def server(tmp_path, content):
    image = tmp_path / "image.qcow2"
    qemu_img("convert", "-O", "qcow2", content, image)
    one = Server(image)
    one.checksum = f"sha256:{hashlib.sha256(image.read_bytes()).hexdigest()}"
    one.image = image
    yield one
    one.stop()


def filled(server, **more):
    one = {"name": "debian", "url": server.url, "type": "qcow2", "checksum": server.checksum}
    return {"filled_from": {**one, **more}}


def same(path, content):
    """Whether a volume begins with the content, and has zeros after it."""
    return "Images are identical" in qemu_img("compare", "-U", path, content)


@pytest.mark.parametrize("kind", ["qcow2", "raw"])
def test_filled_and_enlarged(engine, folder, server, content, kind):
    spec = volume("vol-1", "local", kind=kind, **filled(server))
    engine.apply("volume", "vol-1", spec)
    assert info(folder / "vol-1") == (kind, 64 * MIB)
    assert same(folder / "vol-1", content)
    assert (folder / "vol-1").stat().st_mode & 0o777 == 0o600
    assert differing(engine, "vol-1", spec) == []
    assert [one.name for one in folder.iterdir()] == ["vol-1"]
    # The second volume needs no second download, and no later change of the image changes a volume.
    engine.apply("volume", "vol-2", volume("vol-2", "local", **filled(server)))
    assert server.requests == [None]
    changed = volume("vol-1", "local", kind=kind, **filled(server, checksum=f"sha256:{'0' * 64}"))
    assert differing(engine, "vol-1", changed) == []


def test_file_url_and_no_checksum(engine, folder, server, content):
    where = {"url": server.image.as_uri(), "checksum": None}
    spec = volume("vol-1", "local", **filled(server, **where))
    engine.apply("volume", "vol-1", spec)
    assert same(folder / "vol-1", content)
    # Without a checksum it is fetched anew each time.
    for name in ("vol-2", "vol-3"):
        spec = volume(name, "local", **filled(server, checksum=None))
        engine.apply("volume", name, spec)
    assert server.requests == [None, None]


@pytest.mark.parametrize("ranges", [True, False])
def test_broken_download_goes_on(engine, folder, server, content, ranges):
    server.ranges = ranges
    server.break_after = MIB
    spec = volume("vol-1", "local", **filled(server))
    with pytest.raises(HostError, match=r"of \d+ bytes|cannot be fetched"):
        engine.apply("volume", "vol-1", spec)
    assert compare(engine, "vol-1", spec)["present"] is False
    engine.apply("volume", "vol-1", spec)
    assert server.requests == [None, f"bytes={MIB}-"]
    assert same(folder / "vol-1", content)


def test_begun_with_another_file(engine, folder, server, content):
    begun = engine.session.settings.state_dir / "images"
    begun.mkdir(parents=True)
    (begun / f"{server.checksum.replace(':', '-')}.part").write_bytes(b"something else")
    engine.apply("volume", "vol-1", volume("vol-1", "local", **filled(server)))
    assert server.requests == ["bytes=14-", None]
    assert same(folder / "vol-1", content)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"checksum": f"sha256:{'0' * 64}"}, "correct the checksum"),
        ({"checksum": f"sha512:{'0' * 128}"}, "correct the checksum"),
        ({"type": "raw"}, "debian is qcow2, and the document says raw"),
        ({"url": "http://127.0.0.1:9/x"}, "cannot be fetched: .*refused"),
        ({"url": "file:///no/such"}, "cannot be fetched"),
    ],
)
def test_bad_images_make_no_volume(engine, folder, server, image, message):
    spec = volume("vol-1", "local", **filled(server, **image))
    with pytest.raises(HostError, match=message):
        engine.apply("volume", "vol-1", spec)
    assert list(folder.iterdir()) == []


def test_image_that_is_larger_or_not_alone(engine, folder, server):
    with pytest.raises(HostError, match=f"needs {8 * MIB} bytes, and the volume has {MIB}"):
        engine.apply("volume", "vol-1", volume("vol-1", "local", MIB, **filled(server)))
    above = server.image.with_name("above.qcow2")
    qemu_img("create", "-f", "qcow2", "-b", "/etc/shadow", "-F", "raw", above)
    spec = volume("vol-1", "local", **filled(server, url=above.as_uri(), checksum=None))
    with pytest.raises(HostError, match="needs another file"):
        engine.apply("volume", "vol-1", spec)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "killed",
    [
        ("info", "at"),
        ("convert", "at"),
        ("convert", "before"),
        ("convert", "after"),
        ("resize", "at"),
        ("resize", "after"),
    ],
)
def test_killed_while_filling(engine, folder, server, content, killed):
    stop_at, when = killed
    shim = content.parent / "bin" / "qemu-img"
    shim.parent.mkdir()
    shim.write_text(SHIM)
    shim.chmod(0o755)
    spec = volume("vol-1", "local", **filled(server))
    environment = {
        **os.environ,
        "PATH": f"{shim.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(SOURCE),
        "STOP_AT": stop_at,
        "STOP_WHEN": when,
    }
    state = str(engine.session.settings.state_dir)
    command = [sys.executable, "-c", APPLY, state, "vol-1", json.dumps(spec)]
    done = subprocess.run(command, env=environment, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert compare(engine, "vol-1", spec)["present"] is False
    # Nothing is left of it where it is not wanted any more.
    gone = {"ensure": "absent", "pool": "local"}
    if when == "before":
        assert compare(engine, "vol-1", gone)["present"] is True
        engine.apply("volume", "vol-1", gone)
        assert list(folder.iterdir()) == []
    engine.apply("volume", "vol-1", spec)
    assert same(folder / "vol-1", content)
    assert differing(engine, "vol-1", spec) == []
    assert [one.name for one in folder.iterdir()] == ["vol-1"]


def test_unused_images_are_forgotten(engine, folder, server):
    engine.apply("volume", "vol-1", volume("vol-1", "local", **filled(server)))
    cache = engine.session.settings.state_dir / "images"
    [kept] = cache.glob("[!.]*")
    old = cache / "sha256-old"
    old.write_text("old")
    os.utime(old, (0, time.time() - images.UNUSED - 1))
    engine.apply("volume", "vol-2", volume("vol-2", "local", **filled(server)))
    # Only a download looks for them.
    where = {"url": server.image.as_uri(), "checksum": None}
    engine.apply("volume", "vol-3", volume("vol-3", "local", **filled(server, **where)))
    assert not old.exists()
    assert kept.exists()


def test_full_disk_leaves_nothing(engine, folder, server, tmp_path):
    state = engine.session.settings.state_dir
    state.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", state], check=True)
    try:
        spec = volume("vol-1", "local", **filled(server))
        with pytest.raises(HostError, match="No space left"):
            engine.apply("volume", "vol-1", spec)
        assert list(folder.iterdir()) == []
        assert [one.name for one in (state / "images").iterdir()] == [".lock"]
    finally:
        subprocess.run(["umount", state], check=True)
