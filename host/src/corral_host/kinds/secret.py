"""Keys that libvirt keeps for disks and pools."""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from corral_host import libvirt_xml as x
from corral_host.domain_host import said
from corral_host.errors import BadSpec, HostError
from corral_host.files import read_json, write_json
from corral_host.kinds.base import Comparison, Difference, Found, Kind, Spec

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

    from corral_host.session import Session

#: What the description of Corral's secrets starts with. libvirt's secrets hold no metadata.
MARK = "Ceph key "

#: Where libvirt keeps secrets that outlive it: ``<uuid>.xml`` and ``<uuid>.base64``.
KEPT = Path("/etc/libvirt/secrets")


class Secret(Kind):
    """libvirt secrets by uuid. Corral's are those for Ceph with its description."""

    name: ClassVar[str] = "secret"
    properties: ClassVar[dict[str, str]] = {
        "definition": "usage, description, and whether it is private and kept",
        "value": "digest of the key",
    }

    def __init__(self, session: Session) -> None:
        """Nothing is read yet."""
        super().__init__(session)
        self._things: dict[str, tuple[Any, ET.Element]] | None = None

    def forget(self) -> None:
        """Read the secrets anew when next asked."""
        self._things = None

    def _all(self) -> dict[str, tuple[Any, ET.Element]]:
        """Return libvirt's secrets with their XML by uuid; one listing for a whole run."""
        if self._things is None:
            with said("secrets cannot be listed"):
                self._things = {
                    one.UUIDString(): (one, x.parse(one.XMLDesc(0), "the secret"))
                    for one in self.session.libvirt().listAllSecrets()
                }
        return self._things

    def found(self) -> dict[str, Found]:
        """Return all secrets, without their values."""
        out = {}
        for uuid, (secret, root) in self._all().items():
            value = self._value(uuid, secret, root)
            texts = {"definition": _definition(root)}
            if value is not None:
                texts["value"] = value
            out[uuid] = Found(_ours(root), "missing" if value is None else "set", texts)
        return out

    def check(self, name: str, spec: Spec) -> None:
        """Check XML and value; the value is never part of a message."""
        where = f"secret {name}"
        root = x.parse(spec.get("xml"), f"{where}: xml")  # type: ignore[arg-type]
        if root.tag != "secret":
            raise BadSpec(f"{where}: xml is a <{root.tag}>, not a <secret>")
        if (root.findtext("uuid") or "").strip().lower() != name.lower():
            raise BadSpec(f"{where}: xml has the uuid {root.findtext('uuid')}")
        if not _ours(root):
            raise BadSpec(f"{where}: xml is not for Ceph, or not described as one of Corral's")
        _wanted(name, spec)

    def compare(self, name: str, spec: Spec) -> Comparison:
        """Compare definition and value."""
        there = self._all().get(name.lower())
        out = Comparison(present=there is not None, wanted=spec["ensure"] == "present")
        if there is not None and not _ours(there[1]):
            raise HostError("refused", f"the secret {name} is there and is not Corral's")
        if not out.wanted:
            return out
        wanted = x.parse(spec["xml"], "xml")
        self._no_other(name, wanted)
        if there is None:
            return out
        secret, root = there
        if _definition(root) != _definition(wanted):
            one = Difference("definition", _definition(root), _definition(wanted))
            out.differences.append(one)
        value, want = self._value(name.lower(), secret, root), _digest(_wanted(name, spec))
        if value != want:
            out.differences.append(Difference("value", value, want))
        return out

    @property
    def _record(self) -> Path:
        """Digests of the values that were set, where libvirt does not tell them."""
        return self.session.settings.state_dir / "secrets.json"

    def _value(self, uuid: str, secret: Any, root: ET.Element) -> str | None:  # noqa: ANN401
        """Return the digest of the value, or nothing when there is none.

        libvirt gives private values to nobody, so the file in which it keeps them is read; where
        it keeps them otherwise, what Corral set last has to do.
        """
        import libvirt as lv  # noqa: PLC0415 - hosts without hypervisor role have no python3-libvirt

        if root.get("private") != "yes":
            try:
                return _digest(secret.value())
            except lv.libvirtError as error:
                if error.get_error_code() == lv.VIR_ERR_NO_SECRET:
                    return None
                raise
        try:
            return _digest(base64.b64decode((KEPT / f"{uuid}.base64").read_bytes()))
        except OSError:
            if (KEPT / f"{uuid}.xml").exists():
                return None
        known = read_json(self._record).get(uuid)
        return known if isinstance(known, str) else None

    def _no_other(self, name: str, wanted: ET.Element) -> None:
        usage = wanted.findtext("usage/name")
        for uuid, (_, root) in self._all().items():
            if uuid != name.lower() and root.findtext("usage/name") == usage:
                raise HostError(
                    "refused",
                    f"the secret {uuid} is for {usage!r} already, which {name} is to be for: "
                    "libvirt keeps one per usage. Remove it by hand if nothing needs it",
                )

    def apply(self, name: str, spec: Spec, comparison: Comparison) -> None:
        """Define the secret and set its value, or remove both."""
        there = self._all().get(name.lower())
        with said(f"the secret {name} cannot be made as it should be"):
            if not comparison.wanted:
                if there is not None:
                    there[0].undefine()
                self._remember(name, None)
                return
            wanted = x.parse(spec["xml"], "xml")
            if there is not None and self._must_go(there[1], wanted):
                # libvirt changes neither the usage nor the privacy of a secret.
                there[0].undefine()
            secret = self.session.libvirt().secretDefineXML(spec["xml"])
            value = _wanted(name, spec)
            secret.setValue(value)
            self._remember(name, _digest(value))

    def _remember(self, name: str, value: str | None) -> None:
        known = {key: text for key, text in read_json(self._record).items() if key != name.lower()}
        write_json(self._record, known if value is None else {**known, name.lower(): value})

    @staticmethod
    def _must_go(there: ET.Element, wanted: ET.Element) -> bool:
        return there.findtext("usage/name") != wanted.findtext("usage/name") or (
            there.get("private", "no") != wanted.get("private", "no")
        )


def _ours(root: ET.Element) -> bool:
    usage = root.find("usage")
    described = (root.findtext("description") or "").startswith(MARK)
    return usage is not None and usage.get("type") == "ceph" and described


def _definition(root: ET.Element) -> str:
    """Return all that a secret's XML says, in one line."""
    usage = root.find("usage")
    kind = None if usage is None else usage.get("type")
    return (
        f"{kind} {root.findtext('usage/name')!r}, {root.findtext('description')!r}, "
        f"ephemeral {root.get('ephemeral', 'no')}, private {root.get('private', 'no')}"
    )


def _wanted(name: str, spec: Spec) -> bytes:
    try:
        value = base64.b64decode(spec["value"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise BadSpec(f"secret {name}: value must be a key in base64") from error
    if not value:
        raise BadSpec(f"secret {name}: value is empty")
    return value


def _digest(value: bytes) -> str:
    return "sha256:" + hashlib.sha256(value).hexdigest()[:12]
