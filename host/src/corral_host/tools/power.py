"""Stopping a domain, from the gentlest way to the one that always works."""

from __future__ import annotations

import time
from typing import Any, Callable
from xml.etree import ElementTree as ET

#: Seconds between looks at whether a domain has stopped.
GLANCE = 0.2


def agent(domain: Any) -> str:  # noqa: ANN401
    """Return ``connected``, ``disconnected``, or ``missing`` for the guest agent's channel."""
    root = ET.fromstring(domain.XMLDesc(0))  # noqa: S314 - libvirt's own words
    for target in root.iterfind("devices/channel/target"):
        if target.get("name") == "org.qemu.guest_agent.0":
            return target.get("state", "disconnected")
    return "missing"


def shutdown(
    domain: Any,  # noqa: ANN401
    timeout: float,
    said: Callable[[str], None],
) -> str | None:
    """Stop a domain: guest agent, ACPI, SIGTERM, SIGKILL, each for ``timeout`` seconds.

    Returns what it was that stopped it, or ``None`` when nothing did. ``said`` gets a line for each
    way that did not.
    """
    import libvirt  # noqa: PLC0415

    ways = (
        ("guest agent", lambda: domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT)),
        ("ACPI", lambda: domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)),
        ("SIGTERM", lambda: domain.destroyFlags(libvirt.VIR_DOMAIN_DESTROY_GRACEFUL)),
        ("SIGKILL", domain.destroy),
    )
    if domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
        # A guest that does not run hears neither.
        said("it is paused: neither agent nor ACPI can be heard")
        ways = ways[2:]
    for name, ask in ways:
        if name == "guest agent" and agent(domain) != "connected":
            said(f"{name}: {agent(domain)}")
            continue
        try:
            ask()
        except libvirt.libvirtError as error:
            if stopped(domain):
                return name
            said(f"{name}: {error}")
            continue
        if wait(lambda: stopped(domain), timeout):
            return name
        said(f"{name}: not within {timeout:g} s")
    return None


def stopped(domain: Any) -> bool:  # noqa: ANN401
    """Return whether a domain does not run. A transient one is gone then."""
    import libvirt  # noqa: PLC0415

    try:
        return not domain.isActive()
    except libvirt.libvirtError:
        return True


def wait(done: Callable[[], bool], timeout: float) -> bool:
    """Return whether it was so within this time, in seconds."""
    end = time.monotonic() + timeout
    while not done():
        if time.monotonic() >= end:
            return False
        time.sleep(GLANCE)
    return True
