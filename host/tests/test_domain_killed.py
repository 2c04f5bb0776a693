"""A run that is killed at any point: the next one finishes what it began."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.domains import clear, disk, domain, nic, qemu_pid
from support.libvirt import virsh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corral_host.engine import Engine

SOURCE = Path(__file__).parents[1] / "src"

#: Applies a domain and dies right before (or after) a function is called for the n-th time.
KILLED = """
import importlib, json, os, sys
from pathlib import Path
from corral_host.engine import Engine
from corral_host.session import Session, Settings
state_dir, place, when, count, spec = sys.argv[1:]
module, _, name = place.rpartition(".")
owner, _, sub = module.partition(":")
target = importlib.import_module(owner)
target = getattr(target, sub) if sub else target
real = getattr(target, name)
left = [int(count)]
def killed(*arguments, **named):
    left[0] -= 1
    if left[0] == 0 and when == "before":
        os.kill(os.getpid(), 9)
    result = real(*arguments, **named)
    if left[0] == 0:
        os.kill(os.getpid(), 9)
    return result
setattr(target, name, killed)
session = Session(Settings(state_dir=Path(state_dir), shutdown_timeout=0.5))
Engine(session).apply("domain", "vm-1", json.loads(spec))
"""

POINTS = [
    ("corral_host.kinds.domain.write_seed", "before", 1),
    ("corral_host.session:Session.run", "after", 1),
    ("corral_host.kinds.domain.write_seed", "after", 1),
    ("corral_host.domain_define.define", "before", 1),
    ("corral_host.domain_define.define", "after", 1),
    ("corral_host.domain_record:Records.put", "after", 2),
    ("corral_host.kinds.domain.set_state", "before", 1),
    ("corral_host.kinds.domain.set_state", "after", 1),
]

LIVE_POINTS = [
    ("corral_host.domain_define.define", "before", 1),
    ("corral_host.domain_define.define", "after", 1),
    ("corral_host.domain_live:LiveChanges.apply", "before", 2),
    ("corral_host.domain_live:LiveChanges.apply", "after", 2),
    ("corral_host.domain_live:LiveChanges.apply", "after", 4),
    ("corral_host.domain_record:Records.put", "before", 3),
]

GONE_POINTS = [
    ("corral_host.domain_power.stop", "after", 1),
    ("corral_host.kinds.domain.remove", "after", 1),
    ("corral_host.kinds.domain.drop_seed", "after", 1),
]


@pytest.fixture(autouse=True)
def _clean(engine: Engine) -> Iterator[None]:
    yield
    clear()


def killed(engine, spec, point):
    place, when, count = point
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            KILLED,
            str(engine.session.settings.state_dir),
            place,
            when,
            str(count),
            json.dumps(spec),
        ],
        env={"PYTHONPATH": str(SOURCE), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        check=False,
        capture_output=True,
    )
    assert done.returncode == -9, done.stderr.decode()
    engine.kind("domain").forget()


def settled(engine, spec):
    engine.kind("domain").forget()
    result = engine.compare("domain", {"vm-1": spec})["vm-1"]
    assert result["error"] is None
    assert result["present"] is result["wanted"]
    assert (result["differences"], result["pending"]) == ([], [])


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_while_it_is_made(engine, point):
    spec = domain(1, cloud_init={}, cloud_init_seed="/var/lib/corral/seed/vm-1.iso")
    killed(engine, spec, point)
    engine.apply("domain", "vm-1", spec)
    assert virsh("domstate", "vm-1") == "running"
    settled(engine, spec)
    # Nothing is left of the seed that was being written.
    assert not list(Path("/var/lib/corral/seed").glob(".*"))


@pytest.mark.parametrize("point", LIVE_POINTS, ids=str)
def test_while_it_is_changed(engine, point):
    engine.apply("domain", "vm-1", domain(1, vcpus_max=4, quota=50000))
    pid = qemu_pid("vm-1")
    spec = domain(
        1,
        vcpus_max=4,
        vcpus=2,
        quota=70000,
        title="changed",
        disks=[disk(0, "vol-1"), disk(1, "vol-2")],
        nics=[nic(1, 0), nic(1, 1)],
    )
    killed(engine, spec, point)
    engine.apply("domain", "vm-1", spec)
    settled(engine, spec)
    assert qemu_pid("vm-1") == pid


@pytest.mark.parametrize("point", GONE_POINTS, ids=str)
def test_while_it_is_removed(engine, point):
    spec = domain(1, cloud_init={}, cloud_init_seed="/var/lib/corral/seed/vm-1.iso")
    engine.apply("domain", "vm-1", spec)
    gone = {"ensure": "absent", "uuid": spec["uuid"]}
    killed(engine, gone, point)
    engine.apply("domain", "vm-1", gone)
    settled(engine, gone)
    assert virsh("list", "--all", "--name") == ""
