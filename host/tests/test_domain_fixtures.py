"""Every domain of the documents: defined, and found as it should be by the second run."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.domains import bridge, clear, domain, image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corral_host.engine import Engine

DOCUMENTS = Path(__file__).parents[2] / "fixtures/documents"


def fixture_domains() -> dict[str, dict[str, Any]]:
    """All domains of the documents that are not tombstones, without what needs KVM."""
    out = {}
    for file in sorted(DOCUMENTS.glob("*/document.json")):
        body = json.loads(file.read_text())["body"]
        for name, spec in body.get("hypervisor", {}).get("domains", {}).items():
            if spec["ensure"] == "present":
                out[f"{file.parent.name}/{name}"] = spec
    return out


def without_kvm(spec: dict[str, Any]) -> dict[str, Any]:
    if "xml" not in spec:
        return spec
    xml = spec["xml"].replace("<domain type='kvm'>", "<domain type='qemu'>")
    return {**spec, "xml": xml.replace("mode='host-passthrough'", "mode='maximum'")}


@pytest.fixture(autouse=True)
def _clean(engine: Engine) -> Iterator[None]:
    yield
    clear()
    lxc = engine.session.libvirt("lxc:///system")
    for one in lxc.listAllDomains():
        one.undefine()


def startable(spec: dict[str, Any]) -> dict[str, Any]:
    """The same with little memory, and disks and bridges that are there."""
    xml = spec["xml"]
    for size in sorted({int(one) for one in re.findall(r">(\d{6,})<", xml)}, reverse=True):
        if size > 1000000 and f"<read_bytes_sec>{size}<" not in xml:
            xml = xml.replace(f"{size}", str(size // 16))
    for name in re.findall(r"bridge='([^']+)'", xml):
        bridge(name)
    for path in re.findall(r"(?:file|dev)='(/[^']+)'", xml):
        if not path.endswith(".iso"):
            xml = xml.replace(f"dev='{path}'", f"file='{path}'")
            xml = xml.replace(path, image(re.sub(r"\W", "", path)))
    xml = xml.replace("<disk type='block'", "<disk type='file'").replace("'qcow2'", "'raw'")
    return {**spec, "xml": xml}


@pytest.mark.parametrize("case", fixture_domains())
def test_defined_and_as_it_should_be(engine, case):
    name = case.split("/")[1]
    spec = {**without_kvm(fixture_domains()[case]), "state": "stopped"}
    assert engine.check({"domain": {name: spec}}) == []
    engine.apply("domain", name, spec)
    for _ in range(2):
        engine.kind("domain").forget()
        result = engine.compare("domain", {name: spec})[name]
        assert result["error"] is None
        assert (result["differences"], result["pending"]) == ([], [])
        # And without the record of what was applied.
        for one in (engine.session.settings.state_dir / "domains").glob("*.json"):
            record = json.loads(one.read_text())
            one.write_text(json.dumps({"seed": record["seed"]}))


@pytest.mark.parametrize(
    "case",
    [
        one
        for one, spec in fixture_domains().items()
        if "xml" in spec and "protocol='rbd'" not in spec["xml"] and "type='lxc'" not in spec["xml"]
    ],
)
def test_running_and_as_it_should_be(engine, case):
    name = case.split("/")[1]
    spec = {**startable(without_kvm(fixture_domains()[case])), "state": "running"}
    engine.apply("domain", name, spec)
    for state in ("running", "stopped", "running"):
        engine.apply("domain", name, {**spec, "state": state})
        engine.kind("domain").forget()
        result = engine.compare("domain", {name: {**spec, "state": state}})[name]
        assert result["error"] is None
        assert (result["differences"], result["pending"]) == ([], []), state


def test_a_hundred_domains_with_nothing_to_change(engine):
    """The figure: all of them are compared in well under 2 s."""
    specs = {}
    for number in range(1, 101):
        state = "running" if number <= 5 else "stopped"
        specs[f"vm-{number}"] = domain(number, state=state, ram=32)
    start = time.monotonic()
    assert engine.check({"domain": specs}) == []
    checked = time.monotonic() - start
    for name, spec in specs.items():
        engine.apply("domain", name, spec)
    kind = engine.kind("domain")
    kind.forget()
    start = time.monotonic()
    assert engine.check({"domain": specs}) == []
    results = engine.compare("domain", specs)
    took = time.monotonic() - start
    assert all(not one["differences"] and not one["error"] for one in results.values())
    print(f"\n100 domains: first check {checked:.2f} s, check and compare {took:.2f} s")  # noqa: T201
