#!py
"""Packages and services of the distribution, and a check of the whole document before all else.

`corral_manage_packages: False` and `corral_manage_services: False`, in the minion's configuration,
its grains or its pillar, leave that to you. With the mapping `corral_hostd` the daemon corral-hostd
gets its settings from there and runs.

A document that cannot be right fails the rendering, so that nothing on the host changes. Before
the package corral-host is there nobody can tell: then packages and services come first, and the
state `corral: check`, which all of Corral's things require, stops the rest.
"""

from __future__ import annotations

PACKAGES = {
    "Debian": {
        "corral.hypervisor": (
            "libvirt-daemon-system",
            "libvirt-clients",
            "qemu-system-x86",
            "qemu-utils",
            "ovmf",
            "xorriso",
        ),
        "corral.ceph.client": ("ceph-common",),
        "corral.ceph.mon": ("ceph-mon", "ceph-mgr"),
        "corral.ceph.osd": ("ceph-osd",),
        "lvm": ("lvm2",),
        "nfs": ("nfs-common",),
        "rbd": ("qemu-block-extra", "libvirt-daemon-driver-storage-rbd"),
    },
    "RedHat": {
        "corral.hypervisor": ("libvirt", "qemu-kvm", "qemu-img", "edk2-ovmf", "xorriso"),
        "corral.ceph.client": ("ceph-common",),
        "corral.ceph.mon": ("ceph-mon", "ceph-mgr"),
        "corral.ceph.osd": ("ceph-osd", "ceph-volume"),
        "lvm": ("lvm2",),
        "nfs": ("nfs-utils",),
        "rbd": ("qemu-kvm-block-rbd", "libvirt-daemon-driver-storage-rbd"),
    },
}
SERVICES = {
    "Debian": {"corral.hypervisor": ("libvirtd",)},
    "RedHat": {
        "corral.hypervisor": ("virtqemud.socket", "virtstoraged.socket", "virtsecretd.socket"),
    },
}
FIRST = 20000


def run() -> dict:
    """Return the states; raise, and so fail the run, when the document cannot be right."""
    if "corral.build" not in __salt__:
        raise KeyError("Corral: this minion has no module 'corral'; run saltutil.sync_all first")
    version = __salt__["corral.version"]()
    if __salt__["corral_host.installed"]():
        wrong = __salt__["corral.check"]()
        if wrong:
            lines = [f"{one['kind']} {one['name']}: {one['message']}" for one in wrong]
            raise ValueError("Corral: the document is wrong: " + "; ".join(lines))
    wanted = __salt__["corral.needs"]()
    states = {}
    if setting("corral_manage_packages", default=True):
        packages = named(PACKAGES, wanted) | {"corral-host"}
        states["corral: packages"] = {
            "pkg.installed": [{"pkgs": sorted(packages)}, {"order": FIRST}],
        }
    done = [{"pkg": "corral: packages"}] if states else []
    if setting("corral_manage_services", default=True):
        for service in sorted(named(SERVICES, wanted)):
            states[f"corral: service {service}"] = running(service, done)
        done += [{"service": name} for name in states if name.startswith("corral: service")]
        states.update(hostd(setting("corral_hostd"), done))
    states["corral: check"] = {
        "corral.check": [{"name": version}, {"order": FIRST + 9}, {"require": done}],
    }
    return states


def hostd(settings: dict | None, require: list) -> dict:
    """Return the states of the daemon, or none without settings for it."""
    if not settings:
        return {}
    lines = [f"{key} = {value}\n" for key, value in sorted(settings.items())]
    file = "corral: settings of corral-hostd"
    return {
        file: {
            "file.managed": [
                {"name": "/etc/corral/hostd.conf"},
                {"contents": "[hostd]\n" + "".join(lines)},
                {"makedirs": True},
                {"order": FIRST + 2},
                {"require": require},
            ],
        },
        "corral: service corral-hostd": {
            "service.running": [
                {"name": "corral-hostd"},
                {"enable": True},
                {"order": FIRST + 3},
                {"watch": [{"file": file}]},
            ],
        },
    }


def running(service: str, require: list) -> dict:
    """Return the state of a service that runs now and after a restart of the host."""
    arguments = [{"name": service}, {"enable": True}, {"order": FIRST + 1}, {"require": require}]
    return {"service.running": arguments}


def named(table: dict, wanted: list) -> set:
    """Return what a table by distribution has for what is wanted."""
    family = __grains__["os_family"]
    if family not in table:
        raise ValueError(
            f"Corral does not know the packages of {family}: set corral_manage_packages and "
            "corral_manage_services to False, and see to them yourself"
        )
    return {name for key in wanted for name in table[family].get(key, ())}


def setting(name: str, *, default: object = None) -> object:
    """Return a setting of the minion's configuration, its grains or its pillar."""
    return __salt__["config.get"](name, default)
