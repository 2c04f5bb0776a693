"""The persistent definition of a domain: checking its spec, and defining it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from corral_host import libvirt_xml as x
from corral_host.domain_power import STATES
from corral_host.domain_record import digest
from corral_host.errors import BadSpec

if TYPE_CHECKING:
    from corral_host.domain_host import DomainHost, Thing
    from corral_host.kinds.base import Spec

ET.register_namespace("corral", x.VM)
ET.register_namespace("applied", x.APPLIED)

_QEMU = ("qemu", "kvm")


def check_fields(name: str, spec: Spec) -> None:
    """Raise ``BadSpec`` for fields that are missing or of a wrong type."""
    where = f"domain {name}"
    if spec.get("state") not in STATES:
        raise BadSpec(f"{where}: state is {spec.get('state')!r}, not one of {', '.join(STATES)}")
    if not isinstance(spec.get("uuid"), str):
        raise BadSpec(f"{where}: uuid must be a text")
    if spec.get("autostart"):
        raise BadSpec(f"{where}: autostart must be false: Corral starts domains")
    if "unsupported" not in spec and not isinstance(spec.get("xml"), str):
        raise BadSpec(f"{where}: xml must be a text")


def check_xml(name: str, spec: Spec) -> ET.Element:
    """Return the root of the spec's XML. Raises ``BadSpec`` when it is not of this domain."""
    where = f"domain {name}"
    root = x.parse(spec["xml"], f"{where}: xml")
    if root.tag != "domain":
        raise BadSpec(f"{where}: xml is a <{root.tag}>, not a <domain>")
    if root.findtext("name") != name:
        raise BadSpec(f"{where}: xml is of the domain {root.findtext('name')!r}")
    if (root.findtext("uuid") or "").strip().lower() != spec["uuid"].lower():
        raise BadSpec(f"{where}: xml has the uuid {root.findtext('uuid')}, not {spec['uuid']}")
    if x.vm_metadata(root) is None:
        raise BadSpec(f"{where}: xml has no metadata {x.VM}, so that it would not be Corral's")
    driver_of(root)
    return root


def driver_of(root: ET.Element) -> str:
    """Return the driver of libvirt that runs such a domain. Raises ``BadSpec``."""
    kind = root.get("type")
    if kind == "lxc":
        return "lxc"
    if kind in _QEMU:
        return "qemu"
    raise BadSpec(f"domain {root.findtext('name')}: Corral runs no domains of the type {kind!r}")


def check_with_libvirt(host: DomainHost, name: str, spec: Spec, root: ET.Element) -> None:
    """Let libvirt read the XML without keeping it. Raises ``BadSpec`` with libvirt's words."""
    import libvirt as lv  # noqa: PLC0415

    if driver_of(root) == "lxc":
        # The driver for containers has no way to try one.
        host.connection("lxc")
        return
    connection = host.connection("qemu")
    wrong = (
        lv.VIR_ERR_XML_ERROR,
        lv.VIR_ERR_XML_DETAIL,
        lv.VIR_ERR_XML_INVALID_SCHEMA,
        lv.VIR_ERR_CONFIG_UNSUPPORTED,
        lv.VIR_ERR_INVALID_ARG,
        lv.VIR_ERR_NO_NAME,
        lv.VIR_ERR_OS_TYPE,
    )
    try:
        # The arguments of QEMU are thrown away: what counts is that libvirt could make them.
        connection.domainXMLToNative("qemu-argv", spec["xml"], 0)
    except lv.libvirtError as error:
        # A secret, bridge or volume that is not there yet is no fault of the spec.
        if error.get_error_code() in wrong:
            raise BadSpec(f"domain {name}: libvirt does not accept the xml: {error}") from error


def define(host: DomainHost, spec: Spec, thing: Thing | None) -> Any:  # noqa: ANN401
    """Define the domain of a spec and return it. It does not touch what runs.

    Metadata of others stays, and so does the version of the machine, which the guest would notice.
    """
    import libvirt as lv  # noqa: PLC0415

    root = x.parse(spec["xml"], "xml")
    metadata = root.find("metadata")
    if metadata is not None:
        # Which spec this is, for those who look at the host.
        metadata.append(ET.Element(f"{{{x.APPLIED}}}applied", {"spec": digest(spec["xml"])}))
    if thing is not None:
        _keep(root, x.parse(thing.inactive, "the persistent XML"), metadata)
    connection = host.connection(driver_of(root))
    # A carriage return in a text is left as it is by ElementTree, and lost by who reads it.
    text = ET.tostring(root, encoding="unicode").replace("\r", "&#13;")
    try:
        return connection.defineXMLFlags(text, lv.VIR_DOMAIN_DEFINE_VALIDATE)
    except lv.libvirtError as error:
        if error.get_error_code() != lv.VIR_ERR_XML_INVALID_SCHEMA:
            raise
        raise BadSpec(f"domain {root.findtext('name')}: {error}") from error


def _keep(root: ET.Element, there: ET.Element, metadata: ET.Element | None) -> None:
    for other in there.iterfind("metadata/*"):
        if metadata is not None and not other.tag.startswith((f"{{{x.VM}}}", f"{{{x.APPLIED}}}")):
            metadata.append(copy.deepcopy(other))
    machine, old = root.find("os/type"), there.find("os/type")
    if machine is not None and old is not None:
        name, made = machine.get("machine"), old.get("machine")
        if name is not None and x.alias("os type@machine", name, made):
            machine.set("machine", str(made))


def inactive_xml(domain: Any) -> str:  # noqa: ANN401
    """Return the persistent XML of libvirt's domain."""
    import libvirt as lv  # noqa: PLC0415

    return domain.XMLDesc(lv.VIR_DOMAIN_XML_INACTIVE)
