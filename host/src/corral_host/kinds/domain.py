"""Virtual machines and containers under libvirt."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from corral_host import domain_define as define
from corral_host import domain_memory as memory
from corral_host import domain_parts as p
from corral_host import libvirt_xml as x
from corral_host.domain_host import DomainHost, Thing, said
from corral_host.domain_judge import HOT, definition, live
from corral_host.domain_live import LiveChanges
from corral_host.domain_power import (
    compare_state,
    remove,
    set_state,
    state_of,
    wait,
)
from corral_host.domain_record import Record, Records
from corral_host.domain_report import Judged, found, report, wish
from corral_host.domain_seed import drop_seed, seed_digest, seed_files, seed_state, write_seed
from corral_host.errors import HostError
from corral_host.kinds.base import Comparison, Difference, Found, Kind, Spec

if TYPE_CHECKING:
    from corral_host.session import Session


class Domain(Kind):
    """Domains, by libvirt's name. Corral's are those that carry its metadata."""

    name: ClassVar[str] = "domain"
    properties: ClassVar[dict[str, str]] = {
        "state": "running, stopped or paused; crashed when it ended by itself",
        "title": "the name that people gave",
        "metadata": "Corral's element in the metadata: id, owner and entries",
        "vcpus": "number of vCPUs that are plugged in",
        "vcpus_max": "most vCPUs that it may have without a restart, and their topology",
        "memory": "memory that it has",
        "memory_max": "most memory that it may have without a restart",
        "cpu_limit": "quota of processor time per vCPU, and the period",
        "cpu": "model of the processor, and the way it is run",
        "boot": "machine, firmware, features, boot order, and what happens when it ends",
        "clock": "clock and timers",
        "disks": "disks and filesystems",
        "disk_limits": "operations and bytes per second of each disk",
        "interfaces": "network interfaces",
        "devices": "all other devices",
        "cloud_init": "digest of the cloud-init seed",
        "autostart": "whether libvirt starts it with the host: never, Corral does",
    }

    def __init__(self, session: Session) -> None:
        """Nothing is read yet."""
        super().__init__(session)
        self._host = DomainHost(session)
        self._records = Records(session.settings.state_dir)

    def forget(self) -> None:
        """Read domains and records anew when next asked."""
        self._host.forget()
        self._records.forget()

    def found(self) -> dict[str, Found]:
        """Return all domains of libvirt's drivers for QEMU and LXC."""
        return {name: found(thing) for name, thing in self._host.things().items()}

    def check(self, name: str, spec: Spec) -> None:
        """Check the spec, and ask libvirt whether it could make such a domain.

        What was applied before is not asked again.
        """
        define.check_fields(name, spec)
        if "unsupported" in spec:
            return
        seed_files(name, spec, None)
        if self._records.get(name).spec == spec["xml"]:
            return
        root = define.check_xml(name, spec)
        define.check_with_libvirt(self._host, name, spec, root)

    def compare(self, name: str, spec: Spec) -> Comparison:
        """Compare a domain's persistent definition and what runs with its spec."""
        thing = self._host.find(name, spec)
        if spec["ensure"] == "absent":
            return Comparison(present=thing is not None, wanted=False)
        if "unsupported" in spec:
            # The document says why nothing can be built; there is nothing to do here.
            return Comparison(present=True, wanted=True)
        with said(f"domain {name} cannot be read"):
            return self._judge(name, spec, thing).comparison

    def _judge(self, name: str, spec: Spec, thing: Thing | None) -> Judged:
        out = Judged(Comparison(present=thing is not None and thing.persistent, wanted=True))
        record = self._records.get(name)
        if thing is None:
            return out
        self._judge_xml(spec, thing, record, out)
        files = seed_files(name, spec, _title(spec))
        if files is not None:
            have, want = seed_state(record.seed, spec["cloud_init_seed"]), seed_digest(files)
            if have != want:
                out.comparison.differences.append(Difference("cloud_init", have, want))
        if thing.persistent and thing.domain.autostart():
            out.comparison.differences.append(Difference("autostart", "on", "off"))
        state, held = state_of(thing.domain)
        difference, refused = compare_state(state, held, spec["state"])
        if difference is not None:
            (out.comparison.refused if refused else out.comparison.differences).append(difference)
        return out

    def _judge_xml(self, spec: Spec, thing: Thing, record: Record, out: Judged) -> None:
        same = record.spec == spec["xml"] and record.inactive == thing.inactive
        if same and not thing.active:
            return
        wanted = p.parts(x.parse(spec["xml"], "xml"))
        if thing.persistent and not same:
            known = record.inactive if record.libvirt == self._host.version(thing.driver) else ""
            out.definition = definition(
                wanted,
                p.parts(x.parse(record.spec, "the last spec")) if record.spec else None,
                p.parts(x.parse(known, "the last XML")) if known else None,
                p.parts(x.parse(thing.inactive, "the persistent XML")),
            )
        if thing.active:
            started = (
                record.cpu.get("flat") if record.cpu.get("instance") == thing.instance else None
            )
            out.live = live(wanted, x.parse(thing.live, "the live XML"), started)
        report(thing, record, out)

    def apply(self, name: str, spec: Spec, comparison: Comparison) -> None:
        """Define, change what runs, and bring it into its state, in this order."""
        thing = self._host.find(name, spec)
        timeout = self.session.settings.shutdown_timeout
        if not comparison.wanted:
            if thing is not None:
                with said(f"domain {name} cannot be removed"):
                    remove(thing.domain, timeout)
            record = self._records.get(name)
            drop_seed(record.seed)
            self._records.drop(name)
            return
        with said(f"domain {name} cannot be made as it should be"):
            self._make(name, spec, thing)
            self._change(name, spec)
            thing = self._host.find(name, spec)
            if thing is None:
                raise HostError("not_applied", f"domain {name} is gone again")
            if thing.domain.autostart():
                thing.domain.setAutostart(0)
            if not any(one.property == "state" for one in comparison.refused):
                set_state(thing.domain, spec["state"], timeout)

    def _make(self, name: str, spec: Spec, thing: Thing | None) -> None:
        """Write the seed and the persistent definition where they are not as they should be."""
        record = self._records.get(name)
        judged = self._judge(name, spec, thing)
        files = seed_files(name, spec, _title(spec))
        if files is None:
            drop_seed(record.seed)
            record.seed = {}
        elif seed_state(record.seed, spec["cloud_init_seed"]) != seed_digest(files):
            record.seed = write_seed(self.session, spec["cloud_init_seed"], files)
        if thing is not None and thing.persistent and not judged.definition:
            if record.spec != spec["xml"]:
                # The same in other words, or not defined by this state folder.
                record.spec = spec["xml"]
                record.inactive, record.libvirt = thing.inactive, self._host.version(thing.driver)
            self._records.put(name, record)
            return
        if thing is not None and thing.active and record.cpu.get("instance") != thing.instance:
            # The processor that it was started with, by all that is known.
            made = p.parts(x.parse(record.inactive or thing.inactive, "the last XML"))
            record.cpu = {"instance": thing.instance, "flat": made["cpu"]}
        self._records.put(name, record)
        domain = define.define(self._host, spec, thing)
        record.uuid, record.spec = spec["uuid"], spec["xml"]
        record.inactive = define.inactive_xml(domain)
        record.libvirt = self._host.version(define.driver_of(x.parse(spec["xml"], "xml")))
        self._records.put(name, record)
        self._host.forget()

    def _change(self, name: str, spec: Spec) -> None:
        """Change what runs, as far as it can be changed while it does."""
        thing = self._host.find(name, spec)
        if thing is None or not thing.active:
            return
        record = self._records.get(name)
        judged = self._judge(name, spec, thing)
        changes = LiveChanges(thing.domain, x.parse(thing.inactive, "the persistent XML"))
        for one in HOT:
            deviation = judged.live.now.get(one)
            if deviation is None or one in judged.asked:
                continue
            reason = changes.apply(one, deviation)
            if reason is None and one in ("vcpus", "memory"):
                self._settle(thing)
            if reason is not None:
                record.asked[one] = [thing.instance, wish(deviation), reason]
            else:
                record.asked.pop(one, None)
        self._records.put(name, record)
        self._host.forget()

    def _settle(self, thing: Thing) -> None:
        """Give the guest the moment that it takes to plug memory, so that the report shows it."""

        def done() -> bool:
            root = x.parse(thing.domain.XMLDesc(0), "the live XML")
            return memory.plugged(root) == memory.requested(root)

        wait(done, 2)


def _title(spec: Spec) -> str | None:
    """Return the name that people gave the VM, where a seed needs it."""
    if spec.get("cloud_init") is None:
        return None
    ours = x.vm_metadata(x.parse(spec["xml"], "xml"))
    return None if ours is None else ours.findtext(f"{{{x.VM}}}name")
