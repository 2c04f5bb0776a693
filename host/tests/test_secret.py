"""Secrets in a real libvirt."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from support.libvirt import virsh

from corral_host.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corral_host.engine import Engine

UUID = "5f1d6f0a-1111-4222-8333-000000000001"
OTHER = "5f1d6f0a-1111-4222-8333-000000000002"
KEY = base64.b64encode(b"the first key of this test").decode()
NEW = base64.b64encode(b"the second key of this test").decode()


@pytest.fixture(autouse=True)
def _clean(engine: Engine) -> Iterator[None]:
    yield
    for line in virsh("secret-list").splitlines():
        virsh("secret-undefine", line.split()[0])


def spec(uuid: str = UUID, key: str = KEY, entity: str = "client.libvirt") -> dict[str, Any]:
    xml = f"""<secret ephemeral='no' private='yes'>
  <uuid>{uuid}</uuid>
  <description>Ceph key {entity} of the cluster ceph</description>
  <usage type='ceph'>
    <name>ceph {entity}</name>
  </usage>
</secret>
"""
    return {"ensure": "present", "uuid": uuid, "xml": xml, "value": key}


def compare(engine: Engine, wanted: dict[str, Any], uuid: str = UUID) -> dict[str, Any]:
    engine.kind("secret").forget()
    return engine.compare("secret", {uuid: wanted})[uuid]


def properties(result: dict[str, Any]) -> list[str]:
    assert result["error"] is None, result
    return [one["property"] for one in result["differences"]]


def test_made_changed_damaged_and_removed(engine, tmp_path):
    assert engine.check({"secret": {UUID: spec()}}) == []
    assert compare(engine, spec())["present"] is False
    engine.apply("secret", UUID, spec())
    assert properties(compare(engine, spec())) == []
    # A new key.
    result = compare(engine, spec(key=NEW))
    assert properties(result) == ["value"]
    assert KEY not in json.dumps(result)
    assert NEW not in json.dumps(result)
    engine.apply("secret", UUID, spec(key=NEW))
    assert properties(compare(engine, spec(key=NEW))) == []
    # Set by hand, and lost.
    virsh("secret-set-value", UUID, "--base64", KEY)
    assert properties(compare(engine, spec(key=NEW))) == ["value"]
    engine.apply("secret", UUID, spec(key=NEW))
    virsh("secret-undefine", UUID)
    engine.kind("secret").forget()
    (tmp_path / "secret.xml").write_text(spec()["xml"])
    virsh("secret-define", str(tmp_path / "secret.xml"))
    assert properties(compare(engine, spec())) == ["value"]
    engine.apply("secret", UUID, spec())
    # Another name for what it is for.
    renamed = spec(entity="client.other")
    assert properties(compare(engine, renamed)) == ["definition"]
    engine.apply("secret", UUID, renamed)
    assert properties(compare(engine, renamed)) == []
    found = engine.list("secret")[UUID]
    assert found["managed"]
    assert found["state"] == "set"
    assert KEY not in json.dumps(found)
    engine.apply("secret", UUID, {"ensure": "absent"})
    assert virsh("secret-list") == ""
    assert compare(engine, {"ensure": "absent"})["present"] is False


def test_secrets_of_others_are_left_alone(engine, tmp_path):
    theirs = spec()["xml"].replace("Ceph key", "My key")
    (tmp_path / "secret.xml").write_text(theirs)
    virsh("secret-define", str(tmp_path / "secret.xml"))
    for wanted in (spec(), {"ensure": "absent"}):
        assert compare(engine, wanted)["error"]["code"] == "refused"
        with pytest.raises(HostError, match="not Corral's"):
            engine.apply("secret", UUID, wanted)
    # Another uuid for the same use.
    assert compare(engine, spec(OTHER), OTHER)["error"]["code"] == "refused"
    assert UUID in virsh("secret-list")


@pytest.mark.parametrize(
    "fault",
    [
        {"xml": "<secret"},
        {"xml": "<pool/>"},
        {"xml": None},
        {"value": "not base64!"},
        {"value": ""},
        {"value": None},
        {"xml": spec(OTHER)["xml"]},
        {"xml": spec()["xml"].replace("'ceph'", "'tls'")},
    ],
)
def test_bad_specs(engine, fault):
    wrong = engine.check({"secret": {UUID: {**spec(), **fault}}})
    assert [one["code"] for one in wrong] == ["bad_spec"]
    assert KEY not in wrong[0]["message"]
    assert virsh("secret-list") == ""
