#!py
"""Packages and services of the distribution, and a check of the whole document before all else.

`corral_manage_packages: False` and `corral_manage_services: False`, in the minion's configuration,
its grains or its pillar, leave that to you. `corral_package_source` is a file (a path or a salt://
address) with the package corral-host, where no repository has it. With the mapping `corral_hostd`
the daemon corral-hostd gets its settings from there and runs: `url`, `ca_file`, `interval`; in the
pillar also `token`, the node's own, which is else yours to put into /etc/corral/node.token.

A document that cannot be right fails the rendering, so that nothing on the host changes. Before
corral-host and libvirt are there nobody can tell: then packages and services come first, and the
state `corral: check`, which all of Corral's things require, stops the rest.
"""

from __future__ import annotations

PACKAGES = {
    "Debian": {
        "corral.hypervisor": (
            "libvirt-daemon-system",
            "libvirt-clients",
            "qemu-system-x86",
            "qemu-block-extra",
            "qemu-utils",
            "ovmf",
            "python3-libvirt",
            "xorriso",
        ),
        "corral.ceph.client": ("ceph-common",),
        "corral.ceph.mon": ("ceph-mon", "ceph-mgr"),
        "corral.ceph.osd": ("ceph-osd",),
        "lvm": ("lvm2",),
        "nfs": ("nfs-common",),
        "rbd": ("libvirt-daemon-driver-storage-rbd",),
    },
    "RedHat": {
        "corral.hypervisor": (
            "libvirt",
            "python3-libvirt",
            "qemu-kvm",
            "qemu-img",
            "edk2-ovmf",
            "xorriso",
        ),
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
TOKEN = "/etc/corral/node.token"  # noqa: S105 - where it is, not what
FIRST = 20000


def run() -> dict:
    """Return the states; raise, and so fail the run, when the document cannot be right."""
    if "corral.build" not in __salt__:
        raise KeyError("Corral: this minion has no module 'corral'; run saltutil.sync_all first")
    version = __salt__["corral.version"]()
    if __salt__["corral_host.installed"]():
        wrong = [one for one in __salt__["corral.check"]() if one["code"] != "no_libvirt"]
        if wrong:
            lines = [f"{one['kind']} {one['name']}: {one['message']}" for one in wrong]
            raise ValueError("Corral: the document is wrong: " + "; ".join(lines))
    wanted = __salt__["corral.needs"]()
    states = {}
    if setting("corral_manage_packages", default=True):
        packages = named(PACKAGES, wanted)
        source = setting("corral_package_source")
        if source:
            sources = [{"sources": [{"corral-host": source}]}, {"order": FIRST + 1}]
            states["corral: package corral-host"] = {"pkg.installed": sources}
        else:
            packages.add("corral-host")
        states["corral: packages"] = {
            "pkg.installed": [{"pkgs": sorted(packages)}, {"order": FIRST}],
        }
    done = [{"pkg": name} for name in states]
    if setting("corral_manage_services", default=True):
        for service in sorted(named(SERVICES, wanted)):
            states[f"corral: service {service}"] = running(service, done)
        services = [name for name in states if name.startswith("corral: service")]
        done = [*done, *({"service": name} for name in services)]
        states.update(hostd(setting("corral_hostd"), done))
    states["corral: check"] = {
        "corral.check": [{"name": version}, {"order": FIRST + 9}, {"require": done}],
    }
    return states


def hostd(settings: dict | None, require: list) -> dict:
    """Return the states of the daemon, or none without settings for it."""
    if not settings:
        return {}
    lines = {"node": __opts__["id"], "token_file": TOKEN, "tool": "salt", **settings}
    has_token = bool(lines.pop("token", None))
    text = "".join(f"{key} = {value}\n" for key, value in sorted(lines.items()))
    states = {
        "corral: settings of corral-hostd": {
            "file.managed": [
                {"name": "/etc/corral/hostd.conf"},
                {"contents": f"[hostd]\n{text}"},
                {"makedirs": True},
                {"order": FIRST + 3},
                {"require": require},
            ],
        },
    }
    if has_token:
        states["corral: token of corral-hostd"] = {
            "file.managed": [
                {"name": TOKEN},
                # Only the name of it: the token itself must not show up in a job.
                {"contents_pillar": "corral_hostd:token"},
                {"show_changes": False},
                {"group": "corral-host"},
                {"mode": "0640"},
                {"makedirs": True},
                {"order": FIRST + 3},
                {"require": require},
            ],
        }
    watch = [{"file": name} for name in states]
    for name in ("corral-hostd", "corral-converge.path"):
        service = running(name, [])["service.running"]
        order = [{"order": FIRST + 4}, {"watch": watch}]
        states[f"corral: service {name}"] = {"service.running": [*service[:2], *order]}
    return states


def running(service: str, require: list) -> dict:
    """Return the state of a service that runs now and after a restart of the host."""
    arguments = [{"name": service}, {"enable": True}, {"order": FIRST + 2}, {"require": require}]
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
