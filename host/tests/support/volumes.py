"""Specs of volumes, and what is asked of the engine about them."""

from __future__ import annotations

import json
import subprocess

MIB = 1 << 20


def volume(name, pool, size=64 * MIB, kind="qcow2", **more):
    """The entry of a document."""
    xml = (
        f"<volume type='{'network' if kind == 'rbd' else 'file'}'><name>{name}</name>"
        f"<capacity unit='bytes'>{size}</capacity><allocation unit='bytes'>0</allocation><target>"
        f"<format type='{'qcow2' if kind == 'qcow2' else 'raw'}'/></target></volume>"
    )
    return {"ensure": "present", "pool": pool, "size": size, "type": kind, "xml": xml, **more}


def compare(engine, name, spec):
    engine.kind("volume").forget()
    one = engine.compare("volume", {name: spec})[name]
    assert one["error"] is None, one
    return one


def differing(engine, name, spec):
    one = compare(engine, name, spec)
    assert one["present"]
    assert one["refused"] == []
    return [d["property"] for d in one["differences"]]


def qemu_img(*arguments):
    done = subprocess.run(["qemu-img", *map(str, arguments)], capture_output=True, check=True)
    return done.stdout.decode()


def info(path):
    """What qemu-img says of a file: format and virtual size."""
    says = json.loads(qemu_img("info", "--force-share", "--output=json", path))
    return says["format"], says["virtual-size"]


def running(name, *disks):
    """The XML of a domain that does nothing with these disks: (source element, format)."""
    listed = "".join(
        f"<disk type='{source.split()[0]}' device='disk'><driver name='qemu' type='{form}'/>"
        f"<source {' '.join(source.split()[1:])}/><target dev='vd{chr(97 + at)}' bus='virtio'/>"
        "</disk>"
        for at, (source, form) in enumerate(disks)
    )
    return (
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>"
        f"<emulator>/usr/bin/qemu-system-x86_64</emulator>{listed}</devices></domain>"
    )
