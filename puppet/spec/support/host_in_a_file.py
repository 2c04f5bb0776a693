"""The real engine of corral-host with one kind whose host is a JSON file, so that a test can make it fail.

A thing in the file is a mapping of properties. ``HOST_FILE`` names the file; its key ``fail`` names
properties that cannot be changed, ``refuse`` those that are refused, ``wait`` those that need a restart,
``die`` an operation at which the process ends, once.
"""

import json
import os
import sys
from pathlib import Path

from corral_host import kinds
from corral_host.errors import BadSpec, HostError
from corral_host.kinds.base import Comparison, Difference, Found, Kind

FILE = Path(os.environ["HOST_FILE"])


def host():
    return json.loads(FILE.read_text())


def save(data):
    FILE.write_text(json.dumps(data))


def note(line):
    with Path(f"{FILE}.log").open("a") as file:
        file.write(f"{line}\n")


class InAFile(Kind):
    name = "bridge"
    properties = {"mtu": "", "state": "", "addresses": "", "routes": ""}

    def found(self):
        note("list")
        return {
            name: Found(managed=name != "stranger", state="up", properties=one)
            for name, one in host()["things"].items()
        }

    def check(self, name, spec):
        note(f"check {name}")
        if host().get("no_libvirt"):
            raise HostError("no_libvirt", "libvirt does not answer")
        if "mtu" not in spec:
            raise BadSpec(f"bridge {name} has no mtu")

    def compare(self, name, spec):
        data = host()
        note(f"compare {name}")
        if data.get("die") == "compare":
            save({**data, "die": None})
            sys.exit("bridges are too much for me")
        if spec.get("broken"):
            raise HostError("unreadable", f"{name} cannot be read")
        there = data["things"].get(name)
        wanted = spec["ensure"] == "present"
        comparison = Comparison(present=there is not None, wanted=wanted)
        for key, value in spec.items() if wanted and there is not None else ():
            if key in self.properties and there.get(key) != value:
                one = Difference(key, there.get(key), value)
                if key in data.get("refuse", []):
                    comparison.refused.append(Difference(key, there.get(key), value, "it would hurt"))
                elif key in data.get("wait", []):
                    comparison.pending.append(one)
                else:
                    comparison.differences.append(one)
        return comparison

    def apply(self, name, spec, comparison):
        data = host()
        note(f"apply {name}")
        if data.get("die") == "apply":
            save({**data, "die": None})
            sys.exit("bridges are too much for me")
        if not comparison.wanted:
            del data["things"][name]
        elif not comparison.present:
            data["things"][name] = {key: spec[key] for key in spec if key in self.properties}
        failed = None
        for one in comparison.differences:
            if one.property in data.get("fail", []):
                failed = HostError("program_failed", f"{one.property} did not work")
            else:
                data["things"][name][one.property] = one.wanted
        save(data)
        if failed:
            raise failed


kinds.kind_class = lambda _name: InAFile

from corral_host.serve import serve  # noqa: E402 - the engine takes the kinds as they are now

serve()
