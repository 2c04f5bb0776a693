"""A network namespace of one test's own."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CLONE_NEWNET = 0x40000000

# Sends packets that are to be sent back, one in 5 ms, and prints how many never were.
FLOOD = """
import socket, sys, time
to, count = sys.argv[1], int(sys.argv[2])
one = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM)
one.setblocking(False)
print("ready", flush=True)
back = 0
for number in range(count + 40):
    if number < count:
        one.sendto(b"x", (to, 7000))
    time.sleep(0.005)
    try:
        while one.recv(10):
            back += 1
    except BlockingIOError:
        pass
print(count - back)
"""


@contextmanager
def namespace() -> Iterator[None]:
    """Be in a new, empty network namespace, with ``lo`` only; afterwards in the old one."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as old:
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "cannot make a network namespace")
        try:
            ip("link set lo up")
            yield
        finally:
            if libc.setns(old.fileno(), CLONE_NEWNET) != 0:
                os._exit(1)


def ip(*lines: str) -> None:
    """Run commands of ip."""
    for line in lines:
        done = subprocess.run(
            ["ip", *line.split()], capture_output=True, text=True, check=False, timeout=20
        )
        if done.returncode != 0:
            raise AssertionError(f"ip {line}: {done.stderr}")


def ip_json(line: str) -> list[dict]:
    """Return what a command of ip shows."""
    shown = subprocess.run(["ip", "-json", *line.split()], capture_output=True, check=True).stdout
    return json.loads(shown or b"[]")
