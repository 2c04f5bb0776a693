"""What a bridge's spec may hold: nothing else reaches ``ip``, which reads it by words and lines."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from corral_host.errors import BadSpec

#: What the kernel takes, without what ``ip`` could take for something else.
DEVICE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,14}")
#: Fields of a port by its kind: name to the least and largest number, or what text it is.
PORTS: dict[str, dict[str, Any]] = {
    "veth": {"peer": "device", "mtu": (68, 65535)},
    "vlan": {"parent": "device", "tag": (1, 4094), "mtu": (68, 65535)},
    "vxlan": {
        "id": (0, 2**24 - 1),
        "parent": "device",
        "port": (1, 65535),
        "mtu": (68, 65535),
        "group": "address?",
        "local": "address?",
        "learning": "bool?",
    },
    "interface": {},
}


def check_bridge(name: str, spec: dict[str, Any]) -> None:
    """Raise ``BadSpec``, which names the field."""
    where = f"bridge {name}"
    _value(where, name, "device")
    if not name.startswith(("br-", "cn-")):
        raise BadSpec(f"{where}: Corral's bridges are called br-... or cn-...")
    _value(f"{where}: mtu", spec.get("mtu"), (68, 65535))
    for field in ("routed", "vlan_filtering"):
        _value(f"{where}: {field}", spec.get(field), "bool?")
    for number, one in enumerate(_list(where, spec, "ports")):
        _port(f"{where}: ports/{number}", one)
    for number, one in enumerate(_list(where, spec, "addresses")):
        at = f"{where}: addresses/{number}"
        if not isinstance(one, dict):
            raise BadSpec(f"{at} must be a mapping")
        _cidr(at, one.get("address"))
        _value(f"{at}/gateway", one.get("gateway"), "address?")
    for number, one in enumerate(_list(where, spec, "routes")):
        _cidr(f"{where}: routes/{number}", one)
    names = [one["name"] for one in spec.get("ports", [])]
    if len(set(names)) < len(names):
        raise BadSpec(f"{where}: a port is named twice")


def _port(where: str, one: Any) -> None:  # noqa: ANN401
    kind = one.get("kind") if isinstance(one, dict) else None
    if kind not in PORTS:
        raise BadSpec(f"{where} has kind {kind!r}; there are {', '.join(PORTS)}")
    _value(f"{where}/name", one.get("name"), "device")
    for field, form in PORTS[kind].items():
        _value(f"{where}/{field}", one.get(field), form)


def _list(where: str, spec: dict[str, Any], field: str) -> list[Any]:
    value = spec.get(field, [])
    if not isinstance(value, list):
        raise BadSpec(f"{where}: {field} must be a list")
    return value


def _cidr(where: str, value: Any) -> None:  # noqa: ANN401
    try:
        if not isinstance(value, str) or "/" not in value or "%" in value:
            raise ValueError  # noqa: TRY301 - one message for both
        ipaddress.ip_interface(value)
    except ValueError as error:
        raise BadSpec(
            f"{where} must be an address with its prefix length, not {value!r}"
        ) from error


def _value(where: str, value: Any, form: str | tuple[int, int]) -> None:  # noqa: ANN401
    if isinstance(form, tuple):
        low, high = form
        if type(value) is not int or not low <= value <= high:
            raise BadSpec(f"{where} must be a number from {low} to {high}, not {value!r}")
        return
    if form.endswith("?") and value is None:
        return
    good = False
    if form == "device":
        good = isinstance(value, str) and DEVICE.fullmatch(value) is not None
    elif form == "bool?":
        good = isinstance(value, bool)
    elif isinstance(value, str) and "%" not in value:
        try:
            ipaddress.ip_address(value)
        except ValueError:
            good = False
        else:
            good = True
    if not good:
        what = {"device": "a device's name", "bool?": "true or false"}.get(form, "an address")
        raise BadSpec(f"{where} must be {what}, not {value!r}")
