"""What the states make of the engine's answers; and a real salt-call with the real engine."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError
from test_host import REAL, STATES

VERSION = "41-9f2c0a1b2c3d4e5f"
KEY = "AQC8cABpAAAAABAAvQ8mZ0m7Yc1v6b8Z4l0sHg=="


def load(path: str):
    spec = importlib.util.spec_from_file_location(Path(path).stem, STATES / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compared(*, present=True, wanted=True, differences=(), pending=(), refused=()):
    def listed(properties):
        return [
            {"property": name, "current": "old", "wanted": "new", "reason": "because"}
            for name in properties
        ]

    return {
        "present": present,
        "wanted": wanted,
        "differences": listed(differences),
        "pending": listed(pending),
        "refused": listed(refused),
        "error": None,
    }


class Host:
    """Things by kind and name, each as its comparison; keeps what was asked of it."""

    def __init__(self) -> None:
        self.things: dict = {}
        self.asked: list = []
        self.fails: dict = {}
        self.installed = True
        self.state = load("_states/corral.py")
        self.state.__opts__ = {"test": False}
        self.state.__context__ = {}
        self.state.__salt__ = {
            "corral.compare": self.compare,
            "corral.apply": self.apply,
            "corral.check": list,
            "corral_host.installed": lambda: self.installed,
        }

    def compare(self, kind, name=None):
        self.asked.append(("compare", kind, name))
        of_kind = self.things.get(kind, {})
        return dict(of_kind) if name is None else {name: of_kind[name]}

    def apply(self, kind, name):
        self.asked.append(("apply", kind, name))
        before = self.things[kind][name]
        message, left = self.fails.get(name, (None, ()))
        self.things[kind][name] = compared(
            differences=left, refused=[one["property"] for one in before["refused"]]
        )
        if message:
            raise CommandExecutionError(message)
        return before


@pytest.fixture
def host():
    return Host()


def test_one_comparison_for_all_of_a_kind(host):
    host.things = {
        "domain": {f"vm-{n}": compared() for n in range(100)},
        "bridge": {"b": compared()},
    }
    for n in range(100):
        got = host.state.domain(f"vm-{n}")
        assert got == {
            "name": f"vm-{n}",
            "result": True,
            "comment": "As it should be",
            "changes": {},
        }
    host.state.bridge("b")
    assert host.asked == [("compare", "domain", None), ("compare", "bridge", None)]


def test_changes(host):
    host.things = {
        "domain": {
            "vm-1": compared(present=False, differences=["state"]),
            "vm-2": compared(wanted=False),
            "vm-3": compared(differences=["memory", "vcpus"]),
        }
    }
    change = {"old": "old", "new": "new"}
    got = host.state.domain("vm-1")
    assert got["changes"] == {"ensure": {"old": "absent", "new": "present"}, "state": change}
    assert (got["result"], got["comment"]) == (True, "Applied")
    assert host.state.domain("vm-2")["changes"] == {"ensure": {"old": "present", "new": "absent"}}
    assert host.state.domain("vm-3")["changes"] == {"memory": change, "vcpus": change}


def test_what_was_compared_is_forgotten_when_something_changed(host):
    host.things = {
        "bridge": {"a": compared(), "b": compared(differences=["mtu"]), "c": compared()},
        "domain": {"vm-1": compared(), "vm-2": compared()},
    }
    host.state.domain("vm-1")
    for name in "abc":
        host.state.bridge(name)
    host.state.domain("vm-2")
    assert host.asked == [
        ("compare", "domain", None),
        ("compare", "bridge", None),
        ("apply", "bridge", "b"),
        # Of the same kind one by one: a change of one may change another, as both ends of a cable.
        ("compare", "bridge", "c"),
        ("compare", "domain", None),
    ]


def test_pending_is_no_change(host):
    host.things = {"domain": {"vm-1": compared(pending=["vcpus_max"])}}
    got = host.state.domain("vm-1")
    assert got["changes"] == {}
    assert got["result"] is True
    assert "Waits for the next start: vcpus_max old -> new (because)" in got["comment"]
    assert [one["property"] for one in got["pending"]] == ["vcpus_max"]


def test_what_is_refused_fails_and_the_rest_is_applied(host):
    host.things = {"volume": {"vol-1": compared(differences=["format"], refused=["capacity"])}}
    host.fails = {"vol-1": ("capacity: because", ())}
    got = host.state.volume("vol-1")
    assert got["result"] is False
    assert got["comment"] == "capacity: because"
    assert list(got["changes"]) == ["format"]
    again = host.state.volume("vol-1")
    assert (again["result"], again["changes"]) == (False, {})


def test_half_of_a_change(host):
    host.things = {"domain": {"vm-1": compared(differences=["memory", "vcpus"])}}
    host.fails = {"vm-1": ("QEMU said no", ["vcpus"])}
    got = host.state.domain("vm-1")
    assert (got["result"], list(got["changes"])) == (False, ["memory"])


def test_a_thing_that_cannot_be_made(host):
    host.things = {"domain": {"vm-1": compared(present=False)}}
    host.fails = {"vm-1": ("no", ())}
    host.compare = lambda *_: {"vm-1": {"error": {"code": "no_libvirt", "message": "gone"}}}
    got = host.state.domain("vm-1")
    assert (got["result"], got["comment"]) == (False, "no")
    host.state.__salt__["corral.compare"] = lambda *_: {
        "vm-1": {"error": {"code": "no_libvirt", "message": "libvirt does not answer"}}
    }
    host.state.__context__.clear()
    got = host.state.domain("vm-1")
    assert (got["result"], got["comment"]) == (False, "libvirt does not answer")


def test_what_the_document_does_not_have(host):
    got = host.state.domain("vm-1")
    assert (got["result"], got["comment"]) == (False, "The document has no domain 'vm-1'")


def test_only_asked(host):
    host.state.__opts__ = {"test": True}
    host.things = {
        "domain": {
            "vm-1": compared(present=False),
            "vm-2": compared(),
            "vm-3": compared(pending=["cpu"]),
            "vm-4": compared(differences=["memory"], refused=["cpu"]),
        }
    }
    results = {name: host.state.domain(name) for name in host.things["domain"]}
    assert {name: one["result"] for name, one in results.items()} == {
        "vm-1": None,
        "vm-2": True,
        "vm-3": True,
        "vm-4": False,
    }
    assert results["vm-1"]["changes"] == {"ensure": {"old": "absent", "new": "present"}}
    assert list(results["vm-4"]["changes"]) == ["memory"]
    assert host.asked == [("compare", "domain", None)]


def test_only_asked_before_the_first_run(host):
    host.state.__opts__ = {"test": True}
    host.installed = False
    assert host.state.check(VERSION)["result"] is None
    assert host.state.domain("vm-1")["result"] is None
    assert host.asked == []


def test_a_bad_document(host):
    wrong = [{"kind": "domain", "name": "vm-1", "code": "bad_spec", "message": "no uuid"}]
    host.state.__salt__["corral.check"] = lambda: wrong
    got = host.state.check(VERSION)
    assert (got["result"], got["changes"]) == (False, {})
    assert "domain vm-1: no uuid" in got["comment"]


def test_each_kind_has_a_state(host):
    kinds = load("_modules/corral.py")._ORDER
    assert {kind for kind, _ in kinds} == set(load("_utils/corral_specs.py").HYPERVISOR) | set(
        load("_utils/corral_specs.py").CEPH
    )
    for kind in {kind for kind, _ in kinds}:
        assert getattr(host.state, kind).__doc__


def prepare(settings: dict, needs: list) -> dict:
    """Render prepare.sls as Salt's renderer does, on a Debian."""
    salt = {
        "corral.build": None,
        "corral.version": lambda: VERSION,
        "corral.needs": lambda: needs,
        "corral_host.installed": lambda: False,
        "config.get": lambda name, default=None: settings.get(name, default),
    }
    values = {"__salt__": salt, "__grains__": {"os_family": "Debian"}, "__opts__": {"id": "hv1"}}
    text = (STATES / "corral" / "prepare.sls").read_text()
    exec(compile(text, "prepare.sls", "exec"), values)  # noqa: S102
    return values["run"]()


def arguments(state: dict) -> dict:
    (listed,) = state.values()
    return {key: value for one in listed for key, value in one.items()}


def test_packages_and_services():
    states = prepare({}, ["corral.ceph.client", "corral.hypervisor", "lvm"])
    packages = arguments(states["corral: packages"])["pkgs"]
    assert {"corral-host", "libvirt-daemon-system", "ceph-common", "lvm2"} <= set(packages)
    assert "nfs-common" not in packages
    assert arguments(states["corral: service libvirtd"])["require"] == [{"pkg": "corral: packages"}]
    wants = [{"pkg": "corral: packages"}, {"service": "corral: service libvirtd"}]
    assert arguments(states["corral: check"])["require"] == wants
    assert not any("hostd" in name for name in states)


def test_neither_packages_nor_services():
    both = {"corral_manage_packages": False, "corral_manage_services": False}
    states = prepare(both, ["corral.hypervisor"])
    assert list(states) == ["corral: check"]
    assert arguments(states["corral: check"])["require"] == []


def test_a_package_from_a_file():
    states = prepare({"corral_package_source": "salt://corral-host.deb"}, [])
    sources = arguments(states["corral: package corral-host"])["sources"]
    assert sources == [{"corral-host": "salt://corral-host.deb"}]
    assert "corral-host" not in arguments(states["corral: packages"])["pkgs"]
    assert {"pkg": "corral: package corral-host"} in arguments(states["corral: check"])["require"]


def test_hostd():
    hostd = {"url": "https://corral.example.net", "interval": 5, "token": "corral_node_x"}
    states = prepare({"corral_hostd": hostd}, ["corral.hypervisor"])
    file = arguments(states["corral: settings of corral-hostd"])
    assert file["contents"] == (
        "[hostd]\ninterval = 5\nnode = hv1\ntoken_file = /etc/corral/node.token\ntool = salt\n"
        "url = https://corral.example.net\n"
    )
    assert "corral_node_x" not in repr(states)
    token = arguments(states["corral: token of corral-hostd"])
    assert token["contents_pillar"] == "corral_hostd:token"
    assert token["show_changes"] is False
    assert {"file": "corral: token of corral-hostd"} in arguments(
        states["corral: service corral-hostd"]
    )["watch"]


PILLAR = {
    "corral": {
        "document": VERSION,
        "node": "hv1.example.net",
        "site": "fra1",
        "roles": ["hypervisor"],
        "hypervisor": {
            "domains": {},
            "bridges": {
                f"br-{n}-0": {"ensure": "present", "mtu": 1500, "addresses": [], "routes": []}
                | {"routed": False, "ports": [], "vlan_filtering": False}
                for n in (1, 2)
            },
        },
        "ceph": {"client": {"keys": {"ceph": {"client.x": {"ensure": "present", "secret": KEY}}}}},
    }
}


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    folder = tmp_path_factory.mktemp("minion")
    config = {
        "id": "hv1.example.net",
        "file_client": "local",
        "root_dir": str(folder),
        "file_roots": {"base": [str(STATES)]},
        "pillar_roots": {"base": [str(folder)]},
        "corral_host_command": REAL,
        "corral_manage_packages": False,
        "corral_manage_services": False,
    }
    (folder / "minion").write_text(json.dumps(config))
    (folder / "top.sls").write_text("base: {'*': [data]}")
    setup = "for dir in /etc/corral /var/lib/corral /etc/ceph; do mkdir -p $dir; "
    setup += "mount -t tmpfs tmpfs $dir; done; echo ready; cat"
    shell = subprocess.Popen(
        ["unshare", "--mount", "--net", "sh", "-c", setup],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert shell.stdout.readline() == b"ready\n"
    inside = ["nsenter", f"--target={shell.pid}", "--mount", "--net"]

    def call(*words: str, pillar=PILLAR):
        (folder / "data.sls").write_text("#!json\n" + json.dumps(pillar))
        salt_call = Path(sys.executable).parent / "salt-call"
        command = [*inside, str(salt_call), "-c", str(folder), "--out=json", "-l", "error"]
        done = subprocess.run([*command, *words], capture_output=True, check=False)
        assert KEY not in done.stdout.decode() + done.stderr.decode()
        return json.loads(done.stdout)["local"]

    def on_host(*words: str) -> str:
        return subprocess.run([*inside, *words], capture_output=True, check=True, text=True).stdout

    call.on_host = on_host
    yield call
    shell.communicate()


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and namespaces"
)
class TestSaltCall:
    """In namespaces of its own: real bridges, real files, the real engine."""

    def test_a_whole_run(self, call):
        results = call("state.apply", "corral", "sync_mods=all", "test=True")
        assert {one["result"] for one in results.values()} == {True, None}
        assert call.on_host("ip", "-br", "link", "show", "type", "bridge") == ""
        results = call("state.apply", "corral")
        assert {one["result"] for one in results.values()} == {True}, results
        ordered = sorted(results.values(), key=lambda one: one["__run_num__"])
        made = ["ceph/client.x", "br-1-0", "br-2-0", VERSION]
        assert [one["name"] for one in ordered if one["changes"]] == made
        assert "br-2-0" in call.on_host("ip", "-br", "link", "show", "type", "bridge")
        assert KEY in call.on_host("cat", "/etc/ceph/ceph.client.x.keyring")
        again = call("state.apply", "corral")
        assert [one["name"] for one in again.values() if one["changes"]] == []
        assert call("corral.status")["applied"]["document"] == VERSION
        assert call("corral.list", "bridge")["br-1-0"]["managed"] is True

    def test_a_bad_document_changes_nothing(self, call):
        corral = json.loads(json.dumps(PILLAR["corral"]))
        corral["hypervisor"]["bridges"]["br-1-0"]["mtu"] = 9000
        corral["hypervisor"]["bridges"]["br-2-0"]["ensure"] = "perhaps"
        (line,) = call("state.apply", "corral", pillar={"corral": corral})
        assert "bridge br-2-0" in line
        assert "mtu 1500" in call.on_host("ip", "link", "show", "br-1-0")

    def test_specs_are_not_in_the_states(self, call):
        shown = call("state.show_sls", "corral")
        assert "corral: ceph_keyring ceph/client.x" in shown
