"""What a comparison and a listing of domains say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corral_host import domain_parts as p
from corral_host import libvirt_xml as x
from corral_host.domain_judge import HOT, NEXT_START, Deviation, Live
from corral_host.domain_power import state_of
from corral_host.domain_record import Record, digest
from corral_host.kinds.base import Comparison, Found

if TYPE_CHECKING:
    from corral_host.domain_host import Thing


def wish(deviation: Deviation) -> str:
    """Return what tells one wanted value of a property from another in a record."""
    return digest(repr(sorted(deviation.wanted.items())))


class Judged:
    """A comparison, and what apply needs to know beside it."""

    def __init__(self, comparison: Comparison) -> None:
        """Nothing is known to differ yet."""
        self.comparison = comparison
        self.definition: dict[str, Deviation] = {}
        self.live = Live()
        #: Properties that this instance was asked to change and has not changed.
        self.asked: set[str] = set()


def report(thing: Thing, record: Record, out: Judged) -> None:
    """One difference per property, and what waits for the next start."""
    for name in p.PROPERTIES:
        persistent, now = out.definition.get(name), out.live.now.get(name)
        later = out.live.later.get(name)
        why = "; ".join([*([out.live.why[name]] if name in out.live.why else []), NEXT_START])
        waits = later.difference(name, why) if later is not None else None
        if now is not None:
            asked = record.asked.get(name)
            if asked and asked[:2] == [thing.instance, wish(now)]:
                out.asked.add(name)
                waits = now.difference(name, f"{asked[2]}; {NEXT_START}")
        if persistent is not None:
            cold = thing.active and (waits is not None or name not in HOT)
            out.comparison.differences.append(
                persistent.difference(name, NEXT_START if cold else None)
            )
            continue
        if now is not None and name not in out.asked:
            out.comparison.differences.append(now.difference(name))
        if waits is not None:
            out.comparison.pending.append(waits)


def found(thing: Thing) -> Found:
    """Return a domain as a listing tells it."""
    root = x.parse(thing.inactive, "the persistent XML")
    parts = p.parts(root)
    texts = {}
    for name in p.PROPERTIES:
        text = Deviation(parts[name], {}, set(parts[name])).difference(name).current
        if text is not None and name not in ("devices", "boot"):
            texts[name] = text
    state, held = state_of(thing.domain)
    texts["state"] = state
    texts["autostart"] = "on" if thing.persistent and thing.domain.autostart() else "off"
    detail: dict[str, Any] = {
        "uuid": thing.uuid,
        "driver": thing.driver,
        "persistent": thing.persistent,
        "held": held,
    }
    return Found(managed=thing.managed, state=state, properties=texts, detail=detail)
