"""What of a domain is not as its spec wants it: in its persistent definition, and while it runs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from corral_host import domain_memory as memory
from corral_host import domain_parts as p
from corral_host import libvirt_xml as x
from corral_host.kinds.base import Difference

if TYPE_CHECKING:
    from collections.abc import Callable
    from xml.etree import ElementTree as ET

#: What runs may differ here from its persistent definition by libvirt's own doing. An image of
#: firmware takes the place of the demand for one; a processor is spelled out.
_LIVE_ONLY = {"os@firmware", "cpu@check", "cpu@match", "cpu model@fallback"}

#: Properties of which the spec says all: what it does not name is not to be there.
_WHOLE = ("title", "metadata", "cpu_limit", "disk_limits")

#: Properties made of devices that can be plugged in and out.
_PLUGGED = ("disks", "interfaces")

#: What of an interface can be changed while it runs, by the first element below it.
_NIC_LIVE = ("source", "link", "bandwidth", "filterref")

#: Those of them that libvirt does not add by itself.
_NIC_OWN = ("link", "bandwidth", "filterref")

#: Properties that change while the domain runs.
HOT = ("title", "metadata", "memory", "cpu_limit", *_PLUGGED, "disk_limits", "vcpus")

NEXT_START = "takes effect at the next start"

#: Longest text of a difference.
_LONGEST = 600


@dataclass
class Deviation:
    """Places of one property, and their texts on both sides."""

    current: x.Flat
    wanted: x.Flat
    places: set[str] = field(default_factory=set)

    def difference(self, name: str, reason: str | None = None) -> Difference:
        """Return it for a report."""
        return Difference(name, self._text(self.current), self._text(self.wanted), reason)

    def _text(self, side: x.Flat) -> str | None:
        there = {place: side[place] for place in sorted(self.places) if place in side}
        if not there:
            return None
        if len(there) == 1 and next(iter(there)) in ("KiB", "vcpus", "title"):
            return _amount(*next(iter(there.items())))
        # The texts of elements that only hold others say nothing, unless nothing else does.
        said = [f"{place}={text}" for place, text in there.items() if text] or list(there)
        text = ", ".join(said)
        return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _amount(place: str, text: str) -> str:
    if place != "KiB":
        return text
    kib = int(text)
    return f"{kib // 1024} MiB" if kib % 1024 == 0 else f"{kib} KiB"


def definition(
    wanted: p.Parts, before: p.Parts | None, made: p.Parts | None, inactive: p.Parts
) -> dict[str, Deviation]:
    """Compare the persistent definition with the spec.

    ``before`` is the spec that was defined last and ``made`` what libvirt made of it then, where
    that is known.
    """
    out = {}
    for name in p.PROPERTIES:
        want, have = wanted[name], inactive[name]
        places = set(x.lacking(want, have))
        extra = {place for place in have if place not in want}
        if name in _WHOLE:
            places |= extra
        elif name in _PLUGGED:
            members = x.members(want)
            places |= {place for place in extra if x.member(place) not in members}
        if before is not None:
            places |= extra & set(before[name])
        wish = dict(want)
        if made is not None:
            # By hand, where the spec says nothing.
            places |= {one for one in x.changed(made[name], have) if one not in want}
            wish = {**{k: v for k, v in made[name].items() if k in places}, **want}
            if before is not None:
                wish = {k: v for k, v in wish.items() if k in want or k not in before[name]}
        if name == "boot":
            places = _known_orders(places, wanted, inactive)
        if places:
            out[name] = Deviation(have, wish, places)
    return out


def _known_orders(places: set[str], wanted: p.Parts, actual: p.Parts) -> set[str]:
    """Leave out boot orders of devices that come or go: these have an event of their own."""
    both = {
        member for name in _PLUGGED for member in x.members(wanted[name]) & x.members(actual[name])
    }
    return {
        place
        for place in places
        if not place.startswith("order of ") or place[len("order of ") :] in both
    }


@dataclass
class Live:
    """What differs while a domain runs: what can be changed now, and what cannot."""

    now: dict[str, Deviation] = field(default_factory=dict)
    later: dict[str, Deviation] = field(default_factory=dict)
    #: Why something is later, where it is not that it cannot be changed.
    why: dict[str, str] = field(default_factory=dict)


def live(wanted: p.Parts, root: ET.Element, cpu: x.Flat | None = None) -> Live:
    """Compare what runs with the spec; ``cpu`` is what it was started with, where that is known."""
    actual = p.parts(root)
    out = Live()
    cdroms = {key for key, one in x.disks(root).items() if one.get("device") == "cdrom"}
    for name in p.PROPERTIES:
        want, have = wanted[name], actual[name]
        places = {one for one in x.lacking(want, have) if one not in _LIVE_ONLY}
        if name in _WHOLE:
            places |= {place for place in have if place not in want}
        if name == "cpu":
            places = _cpu(want, places, cpu)
            have = cpu if cpu is not None and want.get("cpu@mode") == "host-model" else have
        if name == "boot":
            places = _known_orders(places, wanted, actual)
        if name in _PLUGGED:
            places = {place for place in places if not _media(place, cdroms)}
            _plugged(name, want, have, places, out)
        elif places:
            side = out.now if name in HOT and _can(name, want, have, root) else out.later
            side[name] = Deviation(have, want, places)
    if "memory" not in {**out.now, **out.later} and memory.behind(root):
        there = {"KiB": str(x.kib(root.find("currentMemory")))}
        out.later["memory"] = Deviation(there, wanted["memory"], {"KiB"})
        out.why["memory"] = "the guest has not plugged, or given back, all that it was asked to"
    return out


def _plugged(name: str, want: x.Flat, have: x.Flat, places: set[str], out: Live) -> None:
    gone = x.members(have) - x.members(want)
    places |= {place for place in have if x.member(place) in gone}
    if name == "interfaces":
        places |= {one for one in have if one not in want and _element(one) in _NIC_OWN}
    can = _while_running(name, want, have)
    now = {place for place in places if can(place)}
    for side, some in ((out.now, now), (out.later, places - now)):
        if some:
            side[name] = Deviation(have, want, some)


def _can(name: str, want: x.Flat, have: x.Flat, root: ET.Element) -> bool:
    """Whether what runs can come closer: vCPUs and memory have a maximum while it does."""
    if name == "vcpus":
        most = int(p.parts(root)["vcpus_max"]["vcpus"])
        return min(int(want["vcpus"]), most) != int(have["vcpus"])
    if name == "memory":
        return sum(memory.reachable(root, int(want["KiB"]))) != int(have["KiB"])
    return True


def _cpu(want: x.Flat, places: set[str], started: x.Flat | None) -> set[str]:
    if want.get("cpu@mode") != "host-model":
        return places
    # libvirt spells out the model of a host, and does not say any more that it did.
    return places - {"cpu@mode"} if started is None else set(x.lacking(want, started))


def _media(place: str, cdroms: set[str]) -> bool:
    """Whether a place is the medium of a drive: people change it, and a seed may come late."""
    return x.member(place) in cdroms and _element(place) in ("source", "driver")


def _element(place: str) -> str:
    """Return the first element below a device."""
    return re.split(r"[@ \[#]", place.partition(" ")[2], maxsplit=1)[0]


def _while_running(name: str, want: x.Flat, have: x.Flat) -> Callable[[str], bool]:
    """Return what tells whether a place can change now: a device, or an interface's wiring."""
    come_or_go = x.members(want) ^ x.members(have)

    def can(place: str) -> bool:
        if x.member(place) in come_or_go:
            return True
        return name == "interfaces" and _element(place) in _NIC_LIVE

    return can
