"""The command ``vmctl``: the virtual machines of this host."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from corral_host.errors import HostError
from corral_host.observe import domains
from corral_host.tools.common import Command, corral_id, human, owned, say, size, table
from corral_host.tools.power import agent, shutdown, wait

if TYPE_CHECKING:
    from argparse import Namespace

    from corral_host.tools.common import Host

EXAMPLES = """a VM is vm-7, 7, or its uuid

examples:
  vmctl list
  vmctl status 7 --json
  vmctl shutdown vm-7 --timeout 30      guest agent, ACPI, SIGTERM, SIGKILL: 30 s each
  vmctl is-running 7 && echo yes
  vmctl set-memory test 2G              not of a VM of Corral's: the refusal says how instead
  vmctl screenshot 7 --output vm-7.ppm
"""

Result = tuple[int, Any, str]

WHY_NO_AUTOSTART = (
    "Corral's virtual machines do not start with libvirt: after an outage this one may run on"
    " another host by now, and starting it twice would destroy its disks. The run of Puppet or Salt"
    " starts it, when the document says that it belongs here and is to run."
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    command = Command("vmctl", "Look at and act on the virtual machines of this host.", EXAMPLES)
    vm = ("vm", {"metavar": "VM"})
    command.add("list", list_, "show all, Corral's and others'")
    command.add("status", status, "show one", vm)
    command.add("is-running", is_running, "end with 0 when it runs, else with 1", vm)
    command.add("start", start, "start it", vm)
    timeout = ("--timeout", {"type": float, "default": 60, "help": "seconds for each way (60)"})
    command.add("shutdown", stop, "guest agent, ACPI, SIGTERM, SIGKILL in this order", vm, timeout)
    command.add("reset", reset, "like the reset button", vm)
    command.add("reboot", reboot, "ask the guest to start anew: agent, else ACPI", vm)
    command.add("pause", pause, "stop its vCPUs; memory stays", vm)
    command.add("resume", resume, "let its vCPUs go on", vm)
    count = ("count", {"type": int, "metavar": "VCPUS"})
    command.add("set-vcpus", set_vcpus, "give it so many vCPUs; not Corral's VMs", vm, count)
    memory = ("size", {"type": size, "metavar": "SIZE"})
    command.add("set-memory", set_memory, "give it so much memory; not Corral's VMs", vm, memory)
    device = ("xml", {"metavar": "XML", "help": "a file with a device's XML; - is standard input"})
    command.add("attach", attach, "plug a device in; not of Corral's VMs", vm, device)
    command.add("detach", detach, "unplug a device; not of Corral's VMs", vm, device)
    switch = ("switch", {"nargs": "?", "choices": ["on", "off"]})
    command.add(
        "autostart", autostart, "whether libvirt starts it with the host, and why", vm, switch
    )
    command.add("stats", stats, "counters: CPU time, memory, disks, interfaces", vm)
    command.add("console", console, "its serial console; Ctrl-] ends it", vm)
    output = ("--output -o", {"required": True, "type": Path, "metavar": "FILE"})
    command.add("screenshot", screenshot, "what its screen shows, as PPM or PNG", vm, output)
    return command.run(arguments)


def list_(host: Host, _asked: Namespace) -> Result:
    """Show all domains."""
    found = domains(host.libvirt, host.session.settings.state_dir, set())
    rows = [["NAME", "STATE", "VCPUS", "MEMORY", "CORRAL", "TITLE"]]
    for name, one in sorted(found.items()):
        detail = one["detail"]
        mine = "yes" if one["managed"] else "no"
        words = [name, one["state"], str(detail["vcpus"] or "-"), human(detail["memory"]), mine]
        rows.append([*words, detail["title"] or ""])
    return 0, found, table(rows)


def status(host: Host, asked: Namespace) -> Result:
    """Show one domain."""
    domain = host.domain(asked.vm)
    one = domains(host.libvirt, host.session.settings.state_dir, set())[domain.name()]
    data = {"name": domain.name(), **one, "agent": agent(domain)}
    lines = [f"{key}: {data[key]}" for key in ("name", "uuid", "state", "managed", "agent")]
    lines += [f"{key}: {value}" for key, value in one["detail"].items() if value is not None]
    for waits in one["pending"]:
        lines.append(f"waits for the next start: {waits['property']}: {waits['wanted']}")
    return 0, data, "\n".join(lines)


def is_running(host: Host, asked: Namespace) -> Result:
    """Tell by the exit status."""
    import libvirt  # noqa: PLC0415

    state = host.domain(asked.vm).state()[0]
    running = state in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED)
    return (0 if running else 1), {"running": running}, "running" if running else "not running"


def start(host: Host, asked: Namespace) -> Result:
    """Start a domain."""
    domain = host.domain(asked.vm)
    if domain.isActive():
        return 0, {"name": domain.name(), "changed": False}, "it runs already"
    _warn(host, domain, "running")
    domain.create()
    return _done(domain, "started")


def stop(host: Host, asked: Namespace) -> Result:
    """Stop a domain, and tell what did it."""
    domain = host.domain(asked.vm)
    if not domain.isActive():
        return 0, {"name": domain.name(), "changed": False}, "it does not run"
    _warn(host, domain, "stopped")
    tried: list[str] = []
    used = shutdown(domain, asked.timeout, tried.append)
    for line in tried:
        say(line)
    if used is None:
        raise HostError("timeout", f"{domain.name()} still runs after all four ways")
    data = {"name": domain.name(), "changed": True, "used": used, "tried": tried}
    return 0, data, f"{domain.name()} stopped by {used}"


def reset(host: Host, asked: Namespace) -> Result:
    """Press the reset button."""
    domain = _running(host, asked.vm)
    domain.reset()
    return _done(domain, "reset")


def reboot(host: Host, asked: Namespace) -> Result:
    """Ask the guest to start anew."""
    import libvirt  # noqa: PLC0415

    domain = _running(host, asked.vm)
    used, flag = "guest agent", libvirt.VIR_DOMAIN_REBOOT_GUEST_AGENT
    if agent(domain) != "connected":
        used, flag = "ACPI", libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN
    domain.reboot(flag)
    return 0, {"name": domain.name(), "changed": True, "used": used}, f"asked by {used}"


def pause(host: Host, asked: Namespace) -> Result:
    """Stop the vCPUs."""
    domain = _running(host, asked.vm)
    _warn(host, domain, "paused")
    domain.suspend()
    return _done(domain, "paused")


def resume(host: Host, asked: Namespace) -> Result:
    """Let the vCPUs go on."""
    domain = _running(host, asked.vm)
    _warn(host, domain, "running")
    domain.resume()
    return _done(domain, "resumed")


def set_vcpus(host: Host, asked: Namespace) -> Result:
    """Change the number of vCPUs of a domain that is not Corral's."""
    domain = _others(host, asked.vm, {"cores": asked.count})
    domain.setVcpusFlags(asked.count, _both(domain))
    return _done(domain, f"{asked.count} vCPUs")


def set_memory(host: Host, asked: Namespace) -> Result:
    """Change the memory of a domain that is not Corral's."""
    domain = _others(host, asked.vm, {"ram": asked.size})
    domain.setMemoryFlags(asked.size // 1024, _both(domain))
    return _done(domain, f"{human(asked.size)} of memory")


def attach(host: Host, asked: Namespace) -> Result:
    """Plug a device into a domain that is not Corral's."""
    domain = _others(host, asked.vm, None)
    domain.attachDeviceFlags(_device(asked.xml), _both(domain))
    return _done(domain, "attached")


def detach(host: Host, asked: Namespace) -> Result:
    """Unplug a device from a domain that is not Corral's."""
    domain = _others(host, asked.vm, None)
    text = _device(asked.xml)
    domain.detachDeviceFlags(text, _both(domain))
    if domain.isActive() and not wait(lambda: not _has(domain, text), 10):
        raise HostError("timeout", "the guest has not let go of the device within 10 s")
    return _done(domain, "detached")


def autostart(host: Host, asked: Namespace) -> Result:
    """Show or set whether libvirt starts a domain, and why not Corral's."""
    domain = host.domain(asked.vm)
    mine = corral_id(domain) is not None
    if asked.switch == "on" and mine:
        raise HostError("owned", WHY_NO_AUTOSTART)
    if asked.switch is not None:
        domain.setAutostart(int(asked.switch == "on"))
    on = bool(domain.autostart())
    why = WHY_NO_AUTOSTART if mine else "it is not Corral's: vmctl autostart VM on|off sets it"
    data = {"name": domain.name(), "autostart": on, "why": why}
    return 0, data, f"autostart is {'on' if on else 'off'}\n{why}"


def stats(host: Host, asked: Namespace) -> Result:
    """Show the counters."""
    domain = host.domain(asked.vm)
    found = host.libvirt.domainListGetStats([domain], 0, 0)[0][1]
    return 0, found, "\n".join(f"{key} = {value}" for key, value in sorted(found.items()))


def console(host: Host, asked: Namespace) -> Result:
    """Become virsh's console."""
    domain = _running(host, asked.vm)
    try:
        os.execvp("virsh", ["virsh", "-c", host.libvirt.getURI(), "console", domain.name()])  # noqa: S606
    except FileNotFoundError:
        raise HostError("no_program", "virsh is not installed: libvirt-clients has it") from None


def screenshot(host: Host, asked: Namespace) -> Result:
    """Write what the screen shows to a file."""
    domain = _running(host, asked.vm)
    stream = host.libvirt.newStream()
    kind = domain.screenshot(stream, 0)
    try:
        with asked.output.open("wb") as file:
            stream.recvAll(lambda _stream, data, _opaque: file.write(data), None)
    except OSError as error:
        stream.abort()
        raise HostError("no_file", f"{asked.output}: {error.strerror}") from error
    stream.finish()
    return 0, {"file": str(asked.output), "type": kind}, f"{asked.output} ({kind})"


def _running(host: Host, name: str) -> Any:  # noqa: ANN401
    domain = host.domain(name)
    if not domain.isActive():
        raise HostError("not_running", f"{domain.name()} does not run")
    return domain


def _others(host: Host, name: str, change: dict[str, Any] | None) -> Any:  # noqa: ANN401
    """Return a domain that is not Corral's. Raises the refusal for one that is."""
    domain = host.domain(name)
    number = corral_id(domain)
    if number is None:
        return domain
    if change is not None:
        raise owned(domain.name(), host.patch("vms", number, change))
    address = f"{host.url}/api/v1/vms/{number}"
    raise owned(domain.name(), f"{address} (its volumes and interfaces: {address}.html shows them)")


def _warn(host: Host, domain: Any, state: str) -> None:  # noqa: ANN401
    """Say that a run undoes it, unless Corral is asked."""
    number = corral_id(domain)
    if number is not None:
        say(
            f"{domain.name()} belongs to Corral: the next run makes it what Corral says again."
            f" To keep it {state}:\n  {host.patch('vms', number, {'state': state})}"
        )


def _both(domain: Any) -> int:  # noqa: ANN401
    """Return the flags for now and for the next start."""
    import libvirt  # noqa: PLC0415

    live = libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else 0
    return live | (libvirt.VIR_DOMAIN_AFFECT_CONFIG if domain.isPersistent() else 0)


def _device(name: str) -> str:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        ET.fromstring(text)  # noqa: S314 - the operator's own
    except (OSError, ValueError) as error:
        raise HostError("bad_usage", f"{name}: {error}") from error
    except ET.ParseError as error:
        raise HostError("bad_usage", f"{name} is not XML: {error}") from error
    return text


def _has(domain: Any, text: str) -> bool:  # noqa: ANN401
    """Return whether a device with the target or MAC of this XML is in the running domain."""
    device = ET.fromstring(text)  # noqa: S314 - the operator's own
    for place, attribute in (("target", "dev"), ("mac", "address")):
        found = device.find(place)
        wanted = found.get(attribute) if found is not None else None
        if wanted:
            live = ET.fromstring(domain.XMLDesc(0))  # noqa: S314 - libvirt's
            return any(
                one.get(attribute) == wanted
                for one in live.iterfind(f"devices/{device.tag}/{place}")
            )
    return False


def _done(domain: Any, text: str) -> Result:  # noqa: ANN401
    return 0, {"name": domain.name(), "changed": True}, f"{domain.name()}: {text}"


if __name__ == "__main__":
    sys.exit(main())
