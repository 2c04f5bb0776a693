"""Bridges that are somebody else's, hosts that are not fit, and specs that are not right."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.bridges import VXLAN, compare, link, nic, wanted
from support.netns import ip, namespace

from corral_host.engine import Engine
from corral_host.errors import HostError
from corral_host.session import Session, Settings

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root is needed")

FIXTURES = Path(__file__).parents[2] / "fixtures/documents"


@pytest.fixture
def engine(tmp_path):
    with namespace():
        session = Session(Settings(state_dir=tmp_path))
        yield Engine(session)
        session.close()


def test_others_are_left_alone(engine):
    ip("link add br-17-0 type bridge", "link add cx5001 type vxlan id 5001 dstport 4789")
    for spec in (wanted(), {"ensure": "absent"}):
        with pytest.raises(HostError, match="did not make"):
            engine.apply("bridge", "br-17-0", spec)
    assert engine.kind("bridge").found()["br-17-0"].managed is False
    nic("eth0", "10.0.0.10/24")
    with pytest.raises(HostError, match="cx5001"):
        engine.apply("bridge", "cn-1", VXLAN)
    assert "master" not in link("cx5001")
    assert link("cb1")["master"] == "cn-1"
    # What somebody else plugs in stays, too.
    ip("link add x type veth peer name y", "link set x master cn-1")
    [one] = compare(engine, "cn-1", VXLAN)["refused"]
    assert one["property"] == "ports"
    assert link("x")["master"] == "cn-1"


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ("link delete eth0", "no network interface eth0"),
        ("link set eth0 down", "eth0 is switched off"),
        ("link set eth0 mtu 1480", "eth0 has MTU 1480, and cx5001 on it needs 1500"),
    ],
)
def test_what_is_below_is_not_fit(engine, before, message):
    nic("eth0", "10.0.0.10/24")
    ip(before)
    with pytest.raises(HostError, match=message):
        engine.apply("bridge", "cn-1", VXLAN)
    # The cable works all the same.
    assert link("cb1")["master"] == "cn-1"


def test_unsupported_member_is_refused_and_the_rest_made(engine):
    reason = "the network gone is not in this node's data"
    spec = wanted(unsupported=[{"network": "gone", "code": "network_missing", "reason": reason}])
    with pytest.raises(HostError, match=reason):
        engine.apply("bridge", "br-60-0", spec)
    assert link("br-60-0")["linkinfo"]["info_kind"] == "bridge"


def test_every_fixture_passes_the_check(engine):
    for path in FIXTURES.glob("*/document.json"):
        section = json.loads(path.read_text())["body"].get("hypervisor", {})
        assert engine.check({"bridge": section.get("bridges", {})}) == []


@pytest.mark.parametrize(
    "spoiled",
    [
        {"mtu": "1500"},
        {"mtu": True},
        {"ports": {}},
        {"ports": [{"kind": "gre", "name": "x"}]},
        {"ports": [{"kind": "interface", "name": "eth0\nlink delete eth0"}]},
        {"ports": [{"kind": "veth", "name": "a b", "peer": "c", "mtu": 1500}]},
        {"ports": [{"kind": "veth", "name": "toolongforakernel", "peer": "c", "mtu": 1500}]},
        {"addresses": [{"address": "10.0.0.1"}]},
        {"addresses": ["10.0.0.1/24"]},
        {"routes": ["default"]},
        {"routed": "yes"},
    ],
)
def test_bad_specs(engine, spoiled):
    [wrong] = engine.check({"bridge": {"br-1-0": wanted(**spoiled)}})
    assert wrong["code"] == "bad_spec"
