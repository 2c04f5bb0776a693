"""Logical volumes, on a kernel that has them: a volume group on a file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.libvirt import virsh
from support.volumes import MIB, compare, differing, qemu_img, running, volume

from corral_host.errors import HostError
from corral_host.kinds import pool
from corral_host.kinds.pool import pool_uuid

GROUP = "corraltest"
POOL = {
    "ensure": "present",
    "xml": f"<pool type='logical'><name>vg</name><uuid>{pool_uuid('vg')}</uuid><source>"
    f"<name>{GROUP}</name><format type='lvm2'/></source><target><path>/dev/{GROUP}</path></target>"
    "</pool>",
}
GONE = {"ensure": "absent", "pool": "vg"}
APPLY = """
import json, sys
from pathlib import Path
from corral_host.engine import Engine
from corral_host.session import Session, Settings
engine = Engine(Session(Settings(state_dir=Path(sys.argv[1]))))
engine.apply("volume", "vol-1", json.loads(sys.argv[2]))
"""


def sh(script):
    done = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def group(libvirtd, tmp_path):
    """A volume group with extents of 4 MiB, on a file."""
    try:
        Path("/dev/mapper/control").open("rb").close()
    except OSError:
        pytest.skip("this kernel has no device-mapper")
    sh(f"truncate -s 1G {tmp_path}/disk")
    device = sh(f"losetup --find --show {tmp_path}/disk")
    sh(f"vgcreate -q {GROUP} {device}")
    yield
    sh(f"vgremove -q -f {GROUP}; losetup -d {device}")


@pytest.fixture
def engine(group, engine):
    engine.apply("pool", "vg", POOL)
    yield engine
    for name in virsh("list", "--name").split():
        virsh("destroy", name)
    engine.kind("pool").forget()
    engine.apply("pool", "vg", {"ensure": "absent"})


def logical(name, size=64 * MIB, **more):
    spec = volume(name, "vg", size, "lvm", **more)
    spec["xml"] = (
        f"<volume type='block'><name>{name}</name><capacity unit='bytes'>{size}</capacity>"
        f"<allocation unit='bytes'>{size}</allocation><target><path>/dev/{GROUP}/{name}</path>"
        "</target></volume>"
    )
    return spec


def sizes():
    """Size of each logical volume, as LVM has it."""
    says = sh(f"lvs --reportformat json --units b --nosuffix -o lv_name,lv_size {GROUP}")
    return {one["lv_name"]: int(one["lv_size"]) for one in json.loads(says)["report"][0]["lv"]}


@pytest.fixture
def filled(tmp_path):
    content = tmp_path / "content"
    content.write_bytes(os.urandom(3 * MIB) + bytes(5 * MIB))
    source = {"name": "debian", "url": content.as_uri(), "type": "raw", "checksum": None}
    return content, {"filled_from": source}


def test_made_enlarged_and_removed(engine):
    engine.apply("volume", "vol-1", logical("vol-1"))
    assert sizes() == {"vol-1": 64 * MIB}
    assert differing(engine, "vol-1", logical("vol-1")) == []
    found = engine.kind("volume").found()["vol-1"]
    assert (found.managed, found.detail["path"]) == (True, f"/dev/{GROUP}/vol-1")
    larger = logical("vol-1", 96 * MIB)
    assert differing(engine, "vol-1", larger) == ["capacity"]
    engine.apply("volume", "vol-1", larger)
    assert differing(engine, "vol-1", larger) == []
    assert sizes() == {"vol-1": 96 * MIB}
    with pytest.raises(HostError, match="making a volume smaller loses data"):
        engine.apply("volume", "vol-1", logical("vol-1"))
    engine.apply("volume", "vol-1", GONE)
    assert sizes() == {}
    assert compare(engine, "vol-1", GONE)["present"] is False


def test_size_that_is_no_whole_extents(engine):
    spec = logical("vol-1", 65 * MIB)
    engine.apply("volume", "vol-1", spec)
    assert sizes() == {"vol-1": 68 * MIB}
    assert differing(engine, "vol-1", spec) == []


def test_filled(engine, filled):
    content, more = filled
    spec = logical("vol-1", **more)
    engine.apply("volume", "vol-1", spec)
    assert sizes() == {"vol-1": 64 * MIB}
    begins = Path(f"/dev/{GROUP}/vol-1").open("rb").read(8 * MIB)  # noqa: SIM115
    assert begins == content.read_bytes()
    assert differing(engine, "vol-1", spec) == []
    assert "vol-1" in virsh("vol-list", "vg")


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_filling(engine, filled, tmp_path, when):
    content, more = filled
    shim = tmp_path / "bin" / "qemu-img"
    shim.parent.mkdir()
    script = '/usr/bin/qemu-img "$@"\n' if when == "after" else ""
    stop = f'if [ "$1" = convert ]; then\n{script}kill -9 $PPID; exit 1; fi\n'
    shim.write_text(f'#!/bin/sh\n{stop}exec /usr/bin/qemu-img "$@"\n')
    shim.chmod(0o755)
    spec = logical("vol-1", **more)
    environment = {
        **os.environ,
        "PATH": f"{shim.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(pool.__file__).parents[2]),
    }
    state = str(engine.session.settings.state_dir)
    command = [sys.executable, "-c", APPLY, state, json.dumps(spec)]
    done = subprocess.run(command, env=environment, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert set(sizes()) == {"vol-1.corral"}
    assert compare(engine, "vol-1", spec)["present"] is False
    assert compare(engine, "vol-1", GONE)["present"] is True
    engine.apply("volume", "vol-1", spec)
    assert set(sizes()) == {"vol-1"}
    assert "Images are identical" in qemu_img("compare", content, f"/dev/{GROUP}/vol-1")


@pytest.mark.parametrize("killed", [False, True])
def test_enlarged_in_a_running_domain(engine, tmp_path, killed):
    engine.apply("volume", "vol-1", logical("vol-1"))
    xml = tmp_path / "domain.xml"
    xml.write_text(running("vm-1", (f"block dev='/dev/{GROUP}/vol-1'", "raw")))
    virsh("create", str(xml))
    larger = logical("vol-1", 128 * MIB)
    assert differing(engine, "vol-1", larger) == ["capacity"]
    if killed:
        # What a run leaves that is killed before it has told the guest.
        store = engine.kind("volume")._store("vol-1", larger)
        store._told("vol-1", told=False)
        sh(f"lvextend -q --size {128 * MIB}b /dev/{GROUP}/vol-1")
        virsh("pool-refresh", "vg")
        assert differing(engine, "vol-1", larger) == ["capacity"]
    engine.apply("volume", "vol-1", larger)
    assert f"Capacity:       {128 * MIB}" in virsh("domblkinfo", "vm-1", "vda")
    asked = '{"execute":"query-block"}'
    block = json.loads(virsh("qemu-monitor-command", "vm-1", asked))["return"][0]
    assert block["inserted"]["image"]["virtual-size"] == 128 * MIB
    assert differing(engine, "vol-1", larger) == []
    with pytest.raises(HostError, match="the running domain vm-1 has it open"):
        engine.apply("volume", "vol-1", GONE)
    assert sizes() == {"vol-1": 128 * MIB}


def test_others_are_left_alone(engine):
    sh(f"lvcreate -q -L 64M -n vol-1 {GROUP}; lvcreate -q -L 32M -n vol-2 {GROUP}")
    virsh("pool-refresh", "vg")
    assert differing(engine, "vol-1", logical("vol-1")) == ["content"]
    engine.apply("volume", "vol-1", logical("vol-1"))
    assert differing(engine, "vol-1", logical("vol-1")) == []
    for spec in (logical("vol-2"), GONE):
        with pytest.raises(HostError, match="was not made by Corral"):
            engine.apply("volume", "vol-2", spec)
    assert sizes() == {"vol-1": 64 * MIB, "vol-2": 32 * MIB}
