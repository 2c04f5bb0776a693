"""The node's document itself, last of a run: what it removes is gone, and it is written down."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from corral_host.errors import BadSpec, HostError
from corral_host.files import now, read_json, write_json
from corral_host.kinds import KINDS, kind_class
from corral_host.kinds.base import Comparison, Difference, Found, Kind, Spec, ensure_of

if TYPE_CHECKING:
    from corral_host.session import Session

#: The part of the record that is no kind: which start of each domain is the one that waits.
STARTS = "starts"


class Document(Kind):
    """The version of the node's document that was applied last, in ``<state_dir>/applied.json``.

    A spec is ``{ensure: present, node, roles, site, absent: [{kind, name}]}``; the name is the
    version. What waits for a domain's next start goes to ``<state_dir>/pending.json``, for
    ``corral-host observe``. Both files are for everyone to read and hold no secrets.
    """

    name: ClassVar[str] = "document"
    properties: ClassVar[dict[str, str]] = {"applied": "the version that was applied last"}

    def __init__(self, session: Session) -> None:
        """No document has been compared yet in this session."""
        super().__init__(session)
        self._seen = False

    def found(self) -> dict[str, Found]:
        """Return the recorded document, if there is one."""
        record = read_json(self.session.settings.state_dir / "applied.json")
        version = record.get("document")
        if not isinstance(version, str):
            return {}
        return {
            version: Found(
                managed=True,
                state="applied",
                properties={"applied": str(record.get("applied_at"))},
                detail=record,
            )
        }

    def check(self, name: str, spec: Spec) -> None:
        """Refuse a document without node, or whose list of removals is not one."""
        where = f"document {name}"
        if spec.get("version", name) != name:
            raise BadSpec(f"{where} says that it is version {spec['version']!r}")
        if not isinstance(spec.get("node"), str) or not spec["node"]:
            raise BadSpec(f"{where} names no node")
        if not isinstance(spec.get("roles", []), list):
            raise BadSpec(f"{where}: roles must be a list")
        self._check_age(name, spec["node"])
        absent = spec.get("absent", [])
        if not isinstance(absent, list):
            raise BadSpec(f"{where}: absent must be a list")
        for one in absent:
            if not isinstance(one, dict) or not isinstance(one.get("name"), str):
                raise BadSpec(f"{where}: absent must hold mappings with kind and name")
            if one.get("kind") not in KINDS or one["kind"] == self.name:
                raise BadSpec(f"{where}: absent names the kind {one.get('kind')!r}")

    def _check_age(self, name: str, node: str) -> None:
        """Refuse one from before the one that was applied: it may start what was moved away."""
        path = self.session.settings.state_dir / "applied.json"
        record = read_json(path)
        before, after = number(record.get("document")), number(name)
        known = record.get("node") == node and before is not None and after is not None
        if known and after < before:
            raise HostError(
                "older_document",
                f"document {name} is older than {record['document']}, which this host has applied:"
                " a copy of the Puppet or Salt server is out of date. If Corral's database was"
                f" restored from a backup, or the node made anew, remove {path}",
            )

    def compare(self, name: str, spec: Spec) -> Comparison:
        """Tell whether it is the last that was recorded, and since the host has booted."""
        wanted = ensure_of(spec, f"document {name}")
        found = self.found().get(name)
        comparison = Comparison(present=found is not None, wanted=wanted)
        if wanted:
            self._seen = True
            if found is not None and not since_boot(found.detail):
                comparison.differences.append(Difference("applied", "before this boot", "now"))
        else:
            reason = "a document is followed by the next one, not removed"
            comparison.refused.append(Difference("applied", name, None, reason))
        return comparison

    def apply(self, name: str, spec: Spec, comparison: Comparison) -> None:
        """Record the document, once everything that it removes is gone."""
        if not comparison.wanted:
            return
        left = self._left(spec.get("absent", []))
        if left:
            names = ", ".join(left)
            raise HostError("refused", f"{name} is not applied: still on this host: {names}")
        self.finish()
        record = {
            "document": name,
            "node": spec["node"],
            "roles": spec.get("roles", []),
            "site": spec.get("site"),
            "applied_at": now(),
            "boot_id": boot_id(),
        }
        write_json(self.session.settings.state_dir / "applied.json", record)

    def _left(self, absent: list[dict[str, Any]]) -> list[str]:
        """Return what should be gone and is still there, asking the host anew."""
        wanted: dict[str, list[str]] = {}
        for one in absent:
            wanted.setdefault(one["kind"], []).append(one["name"])
        left = []
        for kind, names in wanted.items():
            there = kind_class(kind)(self.session).found()
            left += [f"{kind} {name}" for name in names if name in there and there[name].managed]
        return left

    def finish(self) -> None:
        """Record what waits for a restart, at the end of a session that looked at a document."""
        if not self._seen:
            return
        things: dict[str, Any] = {}
        for (kind, name), waiting in self.session.pending.items():
            things.setdefault(kind, {})[name] = waiting
        if "domain" in things:
            things[STARTS] = {"boot_id": boot_id(), "domain": self._starts(things["domain"])}
        path = self.session.settings.state_dir / "pending.json"
        if read_json(path) != things or not path.exists():
            write_json(path, things)

    def _starts(self, names: dict[str, Any]) -> dict[str, int]:
        """Return libvirt's numbers of the domains that run: another number is another start."""
        numbers = {one.name(): one.ID() for one in self.session.libvirt().listAllDomains()}
        return {name: numbers[name] for name in names if numbers.get(name, -1) >= 0}


def finish(kind: Kind) -> None:
    """End a session: a record that cannot be written costs the run nothing but a line."""
    try:
        if isinstance(kind, Document):
            kind.finish()
    except Exception as error:  # noqa: BLE001 - the run is over, and its own results are out
        print(f"corral-host: pending.json is not written: {error}", file=sys.stderr)  # noqa: T201


def number(version: object) -> int | None:
    """Return 41 of the version ``41-9f2c0a1b2c3d4e5f``."""
    digits = version.partition("-")[0] if isinstance(version, str) else ""
    return int(digits) if digits.isdecimal() else None


def since_boot(record: dict[str, Any]) -> bool:
    """Return whether it was applied since the host has booted: bridges do not outlive that."""
    return record.get("boot_id", boot_id()) == boot_id()


def boot_id() -> str:
    """Return the kernel's id of this boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
