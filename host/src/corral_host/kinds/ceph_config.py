"""A cluster's configuration file, ``/etc/ceph/<cluster>.conf``.

Spec::

    {"ensure": "present",
     "cluster": {"name", "fsid", "public_network", "cluster_network"?},
     "peers": {<name>: {"ensure", "host", "address"?, "port"}},
     "options"?: {<section>: {<option>: <text>}}}

A file that Corral did not write is taken over when it is of the same cluster (fsid), and kept once
as ``<cluster>.conf.before-corral``; one of another cluster is refused. Tuning belongs to the
cluster's own store (``ceph config set``), which Corral leaves alone, or into ``options``.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import TYPE_CHECKING, ClassVar

from corral_host.ceph import files, specs
from corral_host.errors import BadSpec
from corral_host.kinds.base import Comparison, Difference, Found, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from corral_host.kinds.base import Spec

Sections = dict[str, dict[str, str]]

_SECTION = re.compile(r"global|mon|mgr|osd|mds|client|(mon|mgr|osd|mds|client)\.[A-Za-z0-9._-]+")
_OPTION = re.compile(r"[a-z][a-z0-9_]*")


class CephConfig(Kind):
    """The file, as a whole."""

    name = "ceph_config"
    properties: ClassVar[dict[str, str]] = {
        "content": "The options of the file that differ, as section.option=value.",
    }

    def _path(self, name: str) -> Path:
        return files.config_path(self.session, name)

    def found(self) -> dict[str, Found]:
        """Return the configuration of each cluster."""
        found = {}
        for name in files.clusters_here(self.session):
            text = files.read_text(self._path(name)) or ""
            fsid = files.parse_sections(text).get("global", {}).get("fsid", "")
            detail = {"fsid": fsid, "options": files.parse_sections(text)}
            found[name] = Found(text.startswith(files.MARK), "present", {}, detail)
        return found

    def check(self, name: str, spec: Spec) -> None:
        """Raise ``BadSpec``."""
        specs.checked_name(name, "ceph_config")
        if specs.cluster_name(spec) != name:
            raise BadSpec(f"ceph_config {name} is of the cluster {specs.cluster_name(spec)}")
        sections(spec)

    def compare(self, name: str, spec: Spec) -> Comparison:
        """Compare options; spaces and comments count only in that the file must be Corral's."""
        text = files.read_text(self._path(name))
        wanted = spec["ensure"] == "present"
        comparison = Comparison(text is not None, wanted)
        if text is None:
            return comparison
        if not wanted:
            if not text.startswith(files.MARK):
                reason = f"{self._path(name)} was not written by Corral"
                comparison.refused.append(Difference("content", "present", "absent", reason))
            return comparison
        current, target = files.parse_sections(text), sections(spec)
        if not text.startswith(files.MARK):
            fsid = current.get("global", {}).get("fsid")
            if fsid != target["global"]["fsid"]:
                reason = (
                    f"{self._path(name)} is of another cluster, and was not written by Corral: "
                    "move it away if it is not needed"
                )
                refused = Difference("content", f"fsid={fsid}", target["global"]["fsid"], reason)
                comparison.refused.append(refused)
                return comparison
        if text != render(target):
            have, want = _differing(current, target)
            comparison.differences.append(Difference("content", have, want))
        return comparison

    def apply(self, name: str, spec: Spec, comparison: Comparison) -> None:
        """Write the file at once, or remove it."""
        path = self._path(name)
        if comparison.refused:
            return
        if not comparison.wanted:
            path.unlink()
            return
        text = files.read_text(path)
        kept = path.with_name(f"{path.name}.before-corral")
        if text is not None and not text.startswith(files.MARK) and not kept.exists():
            files.write_file(kept, text, 0o644, "root:ceph")
        files.write_file(path, render(sections(spec)), 0o644, "root:ceph")


def sections(spec: Spec) -> Sections:
    """Return the file's options by section. Raises ``BadSpec``."""
    cluster = spec.get("cluster")
    if not isinstance(cluster, dict):
        raise BadSpec("cluster must be a mapping")
    public = _network(cluster, "public_network")
    if public is None:
        raise BadSpec("cluster.public_network is missing")
    peers = specs.peers_of(spec)
    main = {
        "fsid": specs.cluster_fsid(spec),
        # A monitor whose address is not known is looked up by its name, again and again.
        "mon_host": ",".join(peer.addresses() if peer.address else peer.host for peer in peers),
        "public_network": public,
        "auth_cluster_required": "cephx",
        "auth_service_required": "cephx",
        "auth_client_required": "cephx",
    }
    other = _network(cluster, "cluster_network")
    if other is not None:
        main["cluster_network"] = other
    if ":" in public:
        # Daemons listen on IPv4 only unless they are told.
        main.update(ms_bind_ipv4="false", ms_bind_ipv6="true")
    # The document says what a device is; an OSD would guess at each start.
    result: Sections = {"global": main, "osd": {"osd_class_update_on_start": "false"}}
    for section, options in _options(spec):
        result.setdefault(section, {}).update(options)
    return result


def _network(cluster: dict[str, object], field: str) -> str | None:
    value = cluster.get(field)
    if value is None:
        return None
    try:
        return str(ip_network(str(value)))
    except ValueError as error:
        raise BadSpec(f"cluster.{field}: {error}") from error


def _options(spec: Spec) -> list[tuple[str, dict[str, str]]]:
    given = spec.get("options") or {}
    if not isinstance(given, dict):
        raise BadSpec("options must be a mapping of sections")
    for section, options in given.items():
        if not _SECTION.fullmatch(section) or not isinstance(options, dict):
            raise BadSpec(f"options.{section} is not a section of Ceph's configuration")
        for option, value in options.items():
            if not _OPTION.fullmatch(option):
                raise BadSpec(f"options.{section}: {option!r} is not an option's name")
            if not isinstance(value, str) or re.search(r"[\n\r#;]", value):
                raise BadSpec(f"options.{section}.{option} must be a text in one line")
    return sorted(given.items())


def render(options: Sections) -> str:
    """Return the text of the file."""
    lines = [files.MARK]
    for section, values in options.items():
        lines += ["", f"[{section}]", *(f"{option} = {value}" for option, value in values.items())]
    return "\n".join(lines) + "\n"


def _differing(current: Sections, target: Sections) -> tuple[str, str]:
    have, want = _flat(current), _flat(target)
    names = sorted(name for name in {*have, *want} if have.get(name) != want.get(name))
    if not names:
        return "other comments or spaces", "as Corral writes it"
    return (
        " ".join(f"{name}={have.get(name, 'none')}" for name in names),
        " ".join(f"{name}={want.get(name, 'none')}" for name in names),
    )


def _flat(options: Sections) -> dict[str, str]:
    return {
        f"{s}.{option}": value for s, values in options.items() for option, value in values.items()
    }
