"""Traffic of routed VMs: two of them in namespaces, each behind a bridge of its own."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.bridges import differing, wanted
from support.netns import FLOOD, ip, namespace

from corral_host.engine import Engine
from corral_host.session import Session, Settings

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root is needed")

# Answers every packet to port 7000.
ECHO = """
import socket
one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
one.bind(("::", 7000))
print("ready", flush=True)
while True:
    one.sendto(*one.recvfrom(10))
"""


def routed(four, six):
    return wanted(
        addresses=[{"address": "203.0.113.1/32"}, {"address": "fe80::1/64"}],
        routes=[f"{four}/32", f"{six}/128"],
        routed=True,
    )


SPECS = {
    "br-17-0": routed("203.0.113.7", "2001:db8:7::7"),
    "br-18-0": routed("203.0.113.8", "2001:db8:7::8"),
}


class Guest:
    """A VM: its end of the cable is in a namespace of its own."""

    def __init__(self, bridge, four, six):
        self.process = subprocess.Popen(["unshare", "-n", "sleep", "600"])
        own, other = (Path(f"/proc/{one}/ns/net") for one in (self.process.pid, "self"))
        while own.samefile(other):
            pass
        tap = bridge[3:]
        ip(f"link add {tap} type veth peer name guest netns {self.process.pid}")
        self.run("ip link set lo up; ip link set guest up")
        # As guests have it: the subnet is one wire, and the gateway on it.
        self.run(f"ip address add {four}/24 dev guest; ip route add default via 203.0.113.1")
        self.run(f"ip address add {six}/128 dev guest nodad")
        self.run("ip -6 route add default via fe80::1 dev guest")

    def run(self, command):
        namespace = f"--net=/proc/{self.process.pid}/ns/net"
        done = subprocess.run(["nsenter", namespace, "sh", "-ec", command], capture_output=True)  # noqa: PLW1510
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def start(self, code):
        namespace = f"--net=/proc/{self.process.pid}/ns/net"
        command = ["nsenter", namespace, "python3", "-c", code]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        return process

    def lost(self, to):
        """Of 40 packets, how many came not back."""
        return int(self.run(f"python3 -c '{FLOOD}' {to} 40").split()[1])

    def end(self):
        self.process.kill()
        self.process.wait()


def test_guests_reach_each_other_and_cannot_lie(tmp_path):
    with ExitStack() as stack:
        stack.enter_context(namespace())
        session = Session(Settings(state_dir=tmp_path))
        engine = Engine(session)
        first = Guest("br-17-0", "203.0.113.7", "2001:db8:7::7")
        stack.callback(first.end)
        second = Guest("br-18-0", "203.0.113.8", "2001:db8:7::8")
        stack.callback(second.end)
        for name, spec in SPECS.items():
            engine.apply("bridge", name, spec)
            assert differing(engine, name, spec) == []
        echo = second.start(ECHO)
        stack.callback(echo.kill)
        # The first packets find the way. The subnet's addresses are on one wire for the guest.
        assert first.lost("203.0.113.8") < 10
        assert first.lost("2001:db8:7::8") < 10
        # An address that is not routed there does not get out.
        first.run("ip address add 203.0.113.99/32 dev guest; ip route del 203.0.113.0/24 dev guest")
        first.run("ip route replace 203.0.113.1 dev guest src 203.0.113.99")
        first.run("ip route replace default via 203.0.113.1 src 203.0.113.99")
        assert first.lost("203.0.113.8") == 40
        session.close()
