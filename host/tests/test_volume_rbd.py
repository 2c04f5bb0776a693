"""RBD images in a real cluster of Ceph, seen by libvirt and QEMU."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import ceph as lab
from support.libvirt import virsh
from support.volumes import MIB, compare, differing, qemu_img, running, volume

from corral_host.engine import Engine
from corral_host.errors import HostError
from corral_host.kinds import pool
from corral_host.kinds.pool import pool_uuid
from corral_host.session import Session

SECRET = "5f1d6f0a-1111-4222-8333-000000000001"  # noqa: S105 - a uuid
POOL = {
    "ensure": "present",
    "xml": f"<pool type='rbd'><name>rbd</name><uuid>{pool_uuid('rbd')}</uuid><source>"
    f"<host name='{lab.NETWORK}.1' port='6789'/><name>vms</name>"
    f"<auth type='ceph' username='libvirt'><secret uuid='{SECRET}'/></auth></source></pool>",
}
AUTH = f"<auth username='libvirt'><secret type='ceph' uuid='{SECRET}'/></auth>"
GONE = {"ensure": "absent", "pool": "rbd"}
APPLY = """
import json, sys
from corral_host.engine import Engine
from corral_host.session import Session
Engine(Session()).apply("volume", sys.argv[1], json.loads(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def cluster(libvirtd):
    """A cluster of one monitor and one OSD, and libvirt's secret for it."""
    reason = lab.missing()
    if reason is not None:
        pytest.skip(f"no real Ceph: {reason}")
    one = lab.Lab()
    session = Session()
    engine = Engine(session)
    for kind, specs in lab.whole("mon1", osds=1).items():
        for name, spec in specs.items():
            engine.apply(kind, name, spec)
    xml = (
        f"<secret ephemeral='no' private='yes'><uuid>{SECRET}</uuid>"
        "<usage type='ceph'><name>ceph client.libvirt</name></usage></secret>"
    )
    secret = session.libvirt().secretDefineXML(xml)
    secret.setValue(base64.b64decode(lab.SECRETS["client.libvirt"]))
    engine.apply("pool", "rbd", POOL)
    yield one
    engine.kind("pool").forget()
    engine.apply("pool", "rbd", {"ensure": "absent"})
    secret.undefine()
    session.close()
    one.stop()


@pytest.fixture
def engine(cluster):
    session = Session()
    one = Engine(session)
    yield one
    for name in virsh("list", "--name").split():
        virsh("destroy", name)
    for name in rbd("ls", "vms"):
        subprocess.run(["rbd", "rm", "--no-progress", f"vms/{name}"], check=True)
    session.close()


def rbd(*arguments):
    done = subprocess.run(
        ["rbd", *arguments, "--format", "json"], capture_output=True, check=True, timeout=60
    )
    return json.loads(done.stdout)


def image(name, size=64 * MIB, **more):
    return volume(name, "rbd", size, "rbd", **more)


@pytest.fixture
def filled(tmp_path):
    content = tmp_path / "content"
    content.write_bytes(os.urandom(3 * MIB) + bytes(5 * MIB))
    source = {"name": "debian", "url": content.as_uri(), "type": "raw", "checksum": None}
    return content, {"filled_from": source}


def test_pool_is_compared(engine):
    assert engine.compare("pool", {"rbd": POOL})["rbd"]["differences"] == []
    assert engine.kind("pool").found()["rbd"].state == "active"


def test_made_enlarged_and_removed(engine):
    engine.apply("volume", "vol-1", image("vol-1"))
    assert rbd("info", "vms/vol-1")["size"] == 64 * MIB
    assert differing(engine, "vol-1", image("vol-1")) == []
    found = Engine(engine.session).kind("volume").found()["vol-1"]
    assert (found.managed, found.detail["path"]) == (True, "vms/vol-1")
    # A new run had libvirt look again.
    assert "vol-1" in virsh("vol-list", "rbd")
    larger = image("vol-1", 96 * MIB)
    assert differing(engine, "vol-1", larger) == ["capacity"]
    engine.apply("volume", "vol-1", larger)
    assert rbd("info", "vms/vol-1")["size"] == 96 * MIB
    with pytest.raises(HostError, match="making a volume smaller loses data"):
        engine.apply("volume", "vol-1", image("vol-1"))
    engine.apply("volume", "vol-1", GONE)
    assert rbd("ls", "vms") == []
    assert compare(engine, "vol-1", GONE)["present"] is False


def test_filled(engine, filled):
    content, more = filled
    engine.apply("volume", "vol-1", image("vol-1", **more))
    assert rbd("ls", "vms") == ["vol-1"]
    assert "Images are identical" in qemu_img("compare", content, "rbd:vms/vol-1")
    # What is zero in the image takes no room.
    assert rbd("du", "vms/vol-1")["images"][0]["used_size"] == 4 * MIB
    assert differing(engine, "vol-1", image("vol-1", **more)) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_filling(engine, filled, tmp_path, when):
    content, more = filled
    shim = tmp_path / "bin" / "qemu-img"
    shim.parent.mkdir()
    real = shutil.which("qemu-img")
    script = f'{real} "$@"\n' if when == "after" else ""
    kill = f'if [ "$1" = convert ]; then\n{script}kill -9 $PPID; exit 1; fi\nexec {real} "$@"\n'
    shim.write_text(f"#!/bin/sh\n{kill}")
    shim.chmod(0o755)
    spec = image("vol-1", **more)
    environment = {
        **os.environ,
        "PATH": f"{shim.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(pool.__file__).parents[2]),
    }
    command = [sys.executable, "-c", APPLY, "vol-1", json.dumps(spec)]
    done = subprocess.run(command, env=environment, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert rbd("ls", "vms") == ["vol-1.corral"]
    assert compare(engine, "vol-1", spec)["present"] is False
    assert compare(engine, "vol-1", GONE)["present"] is True
    engine.apply("volume", "vol-1", spec)
    assert rbd("ls", "vms") == ["vol-1"]
    assert "Images are identical" in qemu_img("compare", content, "rbd:vms/vol-1")


def test_enlarged_in_a_running_domain(engine, tmp_path):
    engine.apply("volume", "vol-1", image("vol-1"))
    xml = running("vm-1", ("network protocol='rbd' name='vms/vol-1'", "raw"))
    host = f"name='vms/vol-1'><host name='{lab.NETWORK}.1' port='6789'/>{AUTH}</source>"
    (tmp_path / "domain.xml").write_text(xml.replace("name='vms/vol-1'/>", host))
    virsh("create", str(tmp_path / "domain.xml"))
    larger = image("vol-1", 128 * MIB)
    assert differing(engine, "vol-1", larger) == ["capacity"]
    engine.apply("volume", "vol-1", larger)
    assert f"{128 * MIB}" in virsh("domblkinfo", "vm-1", "vda")
    assert differing(engine, "vol-1", larger) == []
    with pytest.raises(HostError, match="the running domain vm-1 has it open"):
        engine.apply("volume", "vol-1", GONE)
    virsh("destroy", "vm-1")
    engine.kind("volume").forget()
    # Ceph waits for a client that was killed.
    for _ in range(60):
        try:
            engine.apply("volume", "vol-1", GONE)
            break
        except HostError as error:
            assert "is it in use" in error.message  # noqa: PT017
            time.sleep(1)
    assert rbd("ls", "vms") == []


def test_others(engine):
    for name, size in (("vol-1", 64), ("vol-2", 32), ("vol-3", 128)):
        command = ["rbd", "create", "--size", str(size), f"vms/{name}"]
        subprocess.run(command, check=True, timeout=60)
    # Another host's: it fits, or will when it is enlarged.
    assert differing(engine, "vol-1", image("vol-1")) == ["content"]
    assert differing(engine, "vol-2", image("vol-2")) == ["content", "capacity"]
    for name in ("vol-1", "vol-2"):
        engine.apply("volume", name, image(name))
        assert differing(engine, name, image(name)) == []
    for spec in (image("vol-3"), GONE):
        with pytest.raises(HostError, match="was not made by Corral"):
            engine.apply("volume", "vol-3", spec)
    found = engine.kind("volume").found()
    assert {name: one.managed for name, one in found.items()} == {
        "vol-1": True,
        "vol-2": True,
        "vol-3": False,
    }


def test_hundred_images_are_compared_at_once(engine):
    specs = {f"vol-{n}": image(f"vol-{n}") for n in range(100)}
    start = time.monotonic()
    for name, spec in specs.items():
        engine.apply("volume", name, spec)
    made = time.monotonic() - start
    start = time.monotonic()
    result = Engine(engine.session).compare("volume", specs)
    compared = time.monotonic() - start
    assert all(one["error"] is None and not one["differences"] for one in result.values())
    print(f"100 images made in {made:.1f} s, compared in {compared:.2f} s")  # noqa: T201
    assert compared < 3


def test_no_key(engine):
    path = Path("/etc/ceph/ceph.client.libvirt.keyring")
    text = path.read_bytes()
    path.unlink()
    try:
        error = engine.compare("volume", {"vol-1": image("vol-1")})["vol-1"]["error"]
        assert error["code"] == "no_keyring"
    finally:
        path.write_bytes(text)
