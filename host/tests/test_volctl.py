"""volctl on real pools of a real libvirt."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.libvirt import virsh
from support.tools import tool

from corral_host.engine import Engine
from corral_host.observe import observe
from corral_host.session import Session, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.libvirt import Libvirtd

IMAGES = Path("/var/lib/corral/images")
#: uuid v5 of the pool's name, as Corral makes it.
POOL = """<pool type='dir'><name>local</name><uuid>{uuid}</uuid>
<target><path>/var/lib/corral/images</path></target></pool>"""


def volctl(*arguments: str) -> tuple[int, Any]:
    done = tool("volctl", *arguments, "--json")
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode, json.loads(done.stdout or b"null")


@pytest.fixture(autouse=True)
def pools(libvirtd: Libvirtd, tmp_path: Path) -> Iterator[None]:
    """Corral's pool ``local`` with its volume vol-17, and ``scratch`` of somebody else's."""
    from corral_host.kinds.pool import pool_uuid  # noqa: PLC0415

    Path("/etc/corral/hostd.conf").write_text("[hostd]\nurl = https://corral.example.net\n")
    IMAGES.mkdir(parents=True, exist_ok=True)
    for one in IMAGES.iterdir():
        one.unlink()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    engine = Engine(Session(Settings()))
    uuid = pool_uuid("local")
    spec = {
        "ensure": "present",
        "kind": "dir",
        "uuid": uuid,
        "target": str(IMAGES),
        "xml": POOL.format(uuid=uuid),
    }
    engine.apply("pool", "local", spec)
    volume = {
        "ensure": "present",
        "pool": "local",
        "path": f"{IMAGES}/vol-17",
        "size": 1 << 20,
        "type": "qcow2",
        "xml": f"<volume type='file'><name>vol-17</name><capacity unit='bytes'>{1 << 20}</capacity>"
        f"<target><path>{IMAGES}/vol-17</path><format type='qcow2'/></target></volume>",
    }
    engine.apply("volume", "vol-17", volume)
    engine.session.close()
    virsh("pool-create-as", "scratch", "dir", "--target", str(scratch))
    yield
    virsh("pool-destroy", "scratch", check=False)
    virsh("pool-destroy", "local", check=False)
    virsh("pool-undefine", "local", check=False)


def test_list_and_info() -> None:
    assert volctl("create", "scratch", "test.qcow2", "2M")[0] == 0
    status, found = volctl("list")
    assert status == 0
    assert {one["name"]: (one["pool"], one["format"], one["managed"]) for one in found} == {
        "vol-17": ("local", "qcow2", True),
        "test.qcow2": ("scratch", "qcow2", False),
    }
    assert [one["name"] for one in volctl("list", "--pool", "local")[1]] == ["vol-17"]
    for name in ("vol-17", "local/vol-17", f"{IMAGES}/vol-17"):
        assert volctl("info", name)[1]["capacity"] == 1 << 20
    assert volctl("info", "vol-99")[0] == 4
    assert "vol-17" in tool("volctl", "list").stdout.decode()
    # The heartbeat says the same of them.
    things = observe(Settings())["things"]
    assert things["pool"]["local"]["managed"] is True
    assert things["pool"]["scratch"]["managed"] is False
    managed = {name: one["managed"] for name, one in things["volume"].items()}
    assert managed == {"vol-17": True, "test.qcow2": False}


def test_a_volume_of_somebody_elses(tmp_path: Path) -> None:
    assert volctl("create", "scratch", "test", "1M", "--format", "raw")[0] == 0
    assert volctl("resize", "test", "2M")[0] == 0
    assert volctl("info", "test")[1]["capacity"] == 2 << 20
    status, answer = volctl("resize", "test", "1M")
    assert (status, answer["error"]["code"]) == (1, "smaller")
    status, answer = volctl("snapshot", "test", "monday")
    assert (status, answer["error"]["code"]) == (1, "no_snapshots")
    assert volctl("clone", "test", "copy")[0] == 0
    assert volctl("info", "copy")[1]["pool"] == "scratch"
    assert volctl("delete", "test")[0] == 0
    assert volctl("info", "test")[0] == 4
    assert volctl("create", "none", "x", "1M")[0] == 4


def test_snapshots_of_qcow2() -> None:
    volctl("create", "scratch", "test.qcow2", "1M")
    assert volctl("snapshot", "test.qcow2", "monday")[0] == 0
    path = volctl("info", "test.qcow2")[1]["path"]
    assert "monday" in subprocess.check_output(["qemu-img", "snapshot", "-l", path], text=True)


def test_what_corral_owns_is_refused() -> None:
    url = "https://corral.example.net/api/v1/volumes"
    for arguments, instead in (
        (("resize", "vol-17", "2M"), f"-d '{{\"size\": 2097152}}' {url}/vol-17"),
        (("delete", "vol-17"), "curl -X DELETE"),
        (("create", "local", "vol-18", "1M"), f"POST {url}"),
    ):
        status, answer = volctl(*arguments)
        assert (status, answer["error"]["code"]) == (3, "owned")
        assert instead in answer["error"]["message"]
    assert volctl("info", "vol-17")[1]["capacity"] == 1 << 20
    # A copy is nobody's but the operator's.
    assert volctl("clone", "vol-17", "before-upgrade")[0] == 0
    assert volctl("info", "before-upgrade")[1]["managed"] is False
    assert volctl("delete", "before-upgrade")[0] == 0


def test_volumes_of_domains(tmp_path: Path) -> None:
    volctl("create", "scratch", "disk.qcow2", "1M")
    path = volctl("info", "disk.qcow2")[1]["path"]
    xml = tmp_path / "domain.xml"
    xml.write_text(
        "<domain type='qemu'><name>other</name><memory>65536</memory><vcpu>1</vcpu>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices><disk type='file'>"
        f"<driver name='qemu' type='qcow2'/><source file='{path}'/><target dev='vda' bus='virtio'/>"
        "</disk></devices></domain>"
    )
    virsh("define", str(xml))
    try:
        data = volctl("info", "disk.qcow2")[1]
        assert (data["used_by"], data["open_in"]) == (["other"], [])
        assert volctl("delete", "disk.qcow2")[1]["error"]["code"] == "in_use"
    finally:
        virsh("undefine", "other")


def test_import(tmp_path: Path) -> None:
    file = tmp_path / "disk.img"
    file.write_bytes(b"begin" + bytes((1 << 20) - 5))
    assert volctl("import", str(file), "scratch", "disk.qcow2")[0] == 0
    data = volctl("info", "disk.qcow2")[1]
    assert (data["format"], data["capacity"]) == ("qcow2", 1 << 20)
    subprocess.run(["qemu-img", "compare", "-q", str(file), data["path"]], check=True)
    # An image that names other files of the host would bring their content in.
    bad = tmp_path / "bad.qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/hostname", "-F", "raw"]
    subprocess.run([*command, str(bad)], check=True)
    status, answer = volctl("import", str(bad), "scratch", "bad")
    assert (status, answer["error"]["code"]) == (1, "bad_image")
    assert volctl("info", "bad")[0] == 4
    assert volctl("import", str(tmp_path / "none"), "scratch", "x")[0] == 1
