"""Runs that are killed between any two changes of the network: the next one finishes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.bridges import CABLED, ROUTED, VXLAN, differing, nic
from support.netns import ip_json, namespace
from test_bridge_takeover import FLAT, addresses, plug, wire  # noqa: F401

from corral_host.engine import Engine
from corral_host.kinds import bridge
from corral_host.session import Session, Settings

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root is needed")

SOURCE = Path(bridge.__file__).parents[2]

# In the place of `ip`: counts the lines of batches, and kills the engine before one of them.
SHIM = """#!/usr/bin/python3
import os, signal, subprocess, sys
REAL = "/usr/sbin/ip" if os.path.exists("/usr/sbin/ip") else "/sbin/ip"
if "-batch" not in sys.argv:
    os.execv(REAL, ["ip", *sys.argv[1:]])
left = int(open(os.environ["LEFT"]).read())
lines = sys.stdin.read().splitlines()
open(os.environ["LEFT"], "w").write(str(left - len(lines)))
text = "".join(line + chr(10) for line in lines[:left])
done = subprocess.run([REAL, "-batch", "-"], input=text.encode())
if len(lines) > left:
    os.kill(os.getppid(), signal.SIGKILL)
sys.exit(done.returncode)
"""

APPLY = """
import json, sys
from pathlib import Path
from corral_host.engine import Engine
from corral_host.session import Session, Settings
engine = Engine(Session(Settings(state_dir=Path(sys.argv[1]))))
engine.apply("bridge", sys.argv[2], json.loads(sys.argv[3]))
"""


@pytest.fixture
def engine(tmp_path):
    with namespace():
        session = Session(Settings(state_dir=tmp_path / "state"))
        yield Engine(session)
        session.close()


def apply(engine, name, spec):
    """As a run that begins now."""
    engine.kind("bridge").forget()
    return engine.apply("bridge", name, spec)


def there(name):
    return any(one["ifname"] == name for one in ip_json("link show"))


def run(tmp_path, name, spec, lines):
    """Apply in a process that is killed before a line; return whether it ended by itself."""
    shim = tmp_path / "bin" / "ip"
    shim.parent.mkdir(exist_ok=True)
    shim.write_text(SHIM)
    shim.chmod(0o755)
    left = tmp_path / "left"
    left.write_text(str(lines))
    environment = {
        **os.environ,
        "PATH": f"{shim.parent}:{os.environ['PATH']}",
        "LEFT": str(left),
        "PYTHONPATH": str(SOURCE),
    }
    arguments = [str(tmp_path / "state"), name, json.dumps(spec)]
    done = subprocess.run(
        [sys.executable, "-c", APPLY, *arguments], env=environment, capture_output=True, check=False
    )
    assert done.returncode in (0, -9), done.stderr.decode()
    return done.returncode == 0


@pytest.mark.parametrize("spec", [CABLED, ROUTED, VXLAN], ids=["cabled", "routed", "vxlan"])
def test_made(engine, tmp_path, spec):
    nic("eth0", "10.0.0.10/24")
    name = "cn-1" if spec is VXLAN else "br-17-0"
    for lines in range(100):
        ended = run(tmp_path, name, spec, lines)
        apply(engine, name, spec)
        assert differing(engine, name, spec) == []
        apply(engine, name, {"ensure": "absent"})
        assert {one["ifname"] for one in ip_json("link show")} == {"lo", "eth0", "eth0-wire"}
        if ended:
            break
    assert lines > 3


def test_interface_taken_over(engine, wire, tmp_path):  # noqa: F811
    plug(wire)
    before = addresses("eth3")
    for lines in range(100):
        ended = run(tmp_path, "cn-1", FLAT, lines)
        held = addresses("eth3")[0] | (addresses("cn-1")[0] if there("cn-1") else set())
        assert held >= before[0]
        apply(engine, "cn-1", FLAT)
        assert differing(engine, "cn-1", FLAT) == []
        assert addresses("cn-1") == before
        apply(engine, "cn-1", {"ensure": "absent"})
        if ended:
            break
    assert lines > 10


def test_interface_given_back(engine, wire, tmp_path):  # noqa: F811
    plug(wire)
    before = addresses("eth3")
    for lines in range(100):
        apply(engine, "cn-1", FLAT)
        ended = run(tmp_path, "cn-1", {"ensure": "absent"}, lines)
        held = addresses("eth3")[0] | (addresses("cn-1")[0] if there("cn-1") else set())
        assert held >= before[0]
        apply(engine, "cn-1", {"ensure": "absent"})
        assert not there("cn-1")
        assert addresses("eth3") == before
        if ended:
            break
    assert lines > 5
