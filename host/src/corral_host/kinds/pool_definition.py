"""What a pool's XML says, apart from what libvirt adds to it."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from corral_host.errors import BadSpec

#: What a definition must say to the letter; the rest counts only where the wanted one has it.
EXACT = ("type", "uuid", "source/host", "source/device", "source/auth", "source/adapter")


def definition(xml: str) -> dict[str, str]:
    """Return a pool's definition as texts by place. Raises ``BadSpec`` for what is no pool."""
    try:
        root = ET.fromstring(xml)  # noqa: S314 - our own or libvirt's
    except ET.ParseError as error:
        raise BadSpec(f"the pool's XML cannot be read: {error}") from error
    if root.tag != "pool":
        raise BadSpec(f"the XML is a {root.tag}, not a pool")
    found = {"type": root.get("type", "")}
    for place in ("name", "uuid", "source/name", "target/path"):
        text = root.findtext(place)
        if text:
            # libvirt leaves a slash at the end out.
            found[place] = text.strip().lower() if place == "uuid" else text.rstrip("/") or "/"
    source = root.find("source")
    return found if source is None else {**found, **_source(source)}


def _source(source: ET.Element) -> dict[str, str]:
    found = {}
    for place, attribute in (("dir", "path"), ("format", "type"), ("adapter", "name")):
        one = source.find(place)
        if one is not None and one.get(attribute):
            found[f"source/{place}"] = one.get(attribute, "").rstrip("/") or "/"
    hosts = [_host(one) for one in source.findall("host")]
    devices = [one.get("path", "") for one in source.findall("device")]
    auth = source.find("auth")
    if hosts:
        found["source/host"] = " ".join(sorted(hosts))
    if devices:
        found["source/device"] = " ".join(sorted(devices))
    if auth is not None:
        secret = auth.find("secret")
        uuid = secret.get("uuid", "") if secret is not None else ""
        found["source/auth"] = f"{auth.get('type')} {auth.get('username')} {uuid.lower()}"
    return found


def differences(current: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """Return the places where they are not the same, sorted."""
    places = {*wanted, *(one for one in EXACT if one in current)}
    return sorted(one for one in places if current.get(one) != wanted.get(one))


def text(found: dict[str, str], places: list[str]) -> str:
    """Say some places of a definition for people."""
    return ", ".join(f"{one} {found.get(one, 'none')}" for one in places)


def _host(element: ET.Element) -> str:
    name, port = element.get("name", ""), element.get("port")
    return f"{name}:{port}" if port else name
