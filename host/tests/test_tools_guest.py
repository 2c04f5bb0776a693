"""vmctl and vmexec with a guest that runs and an agent that answers."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import guest
from support.libvirt import virsh
from support.tools import tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.libvirt import Libvirtd


def vmexec(*arguments: str, data: bytes = b"") -> tuple[int, str, str]:
    done = tool("vmexec", *arguments, data=data)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture(scope="module")
def vm(libvirtd: Libvirtd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    reason = guest.missing()
    if reason is not None:
        pytest.skip(f"no guest: {reason}")
    folder = Path("/var/lib/libvirt/images")
    folder.mkdir(exist_ok=True)
    Path("/etc/corral/hostd.conf").write_text("[hostd]\nurl = https://corral.example.net\n")
    disk = guest.image(folder / "guest.img")
    guest.define("vm-7", disk, number=7)
    began = time.monotonic()
    guest.start("vm-7")
    print(f"the guest's agent answered after {time.monotonic() - began:.1f} s")  # noqa: T201
    yield "vm-7"
    virsh("destroy", "vm-7", check=False)
    virsh("undefine", "vm-7", check=False)


def test_a_command_in_the_guest(vm: str) -> None:
    assert vmexec(vm, "uname", "-s") == (0, "Linux\n", "")
    # By Corral's number and by uuid.
    uuid = virsh("domuuid", vm)
    assert vmexec("7", "cat", "/proc/sys/kernel/ostype") == (0, "Linux\n", "")
    assert vmexec(uuid, "echo", "a  b") == (0, "a  b\n", "")


def test_streams_and_status_are_passed_on(vm: str) -> None:
    status, out, err = vmexec(
        vm, "--shell", "sh", "cat; echo wrong >&2; exit 7", data="grüße\0\n".encode()
    )
    assert (status, out, err) == (7, "grüße\0\n", "wrong\n")
    assert vmexec(vm, "--shell=sh", "kill -9 $$")[0] == 137
    assert vmexec(vm, "--", "sh", "-c", "exit 3")[0] == 3
    assert vmexec(vm, "-n", "cat", data=b"not read")[:2] == (0, "")


def test_as_json(vm: str) -> None:
    status, out, _ = vmexec(vm, "--json", "--shell", "sh", "echo out; echo err >&2; exit 2")
    assert status == 2
    assert json.loads(out) == {
        "status": 2,
        "stdout": "out\n",
        "stderr": "err\n",
        "truncated": False,
    }


def test_a_command_that_is_not_there(vm: str) -> None:
    status, _, err = vmexec(vm, "no-such-command")
    assert status == 127
    assert "no-such-command" in err
    assert vmexec(vm, "/etc")[0] == 126


def test_a_command_that_takes_too_long_is_killed(vm: str) -> None:
    status, _, err = vmexec(vm, "--timeout", "2", "sleep", "999")
    assert status == 124
    assert "did not end within 2 s" in err
    time.sleep(3)
    # The guest has other sleeps of its own.
    assert vmexec(vm, "--shell", "sh", "ps | grep -q '[s]leep 999'")[0] == 1


def test_much_output(vm: str) -> None:
    status, out, err = vmexec(vm, "--shell", "sh", "head -c 2000000 /dev/zero | tr '\\0' x")
    assert (status, len(out)) == (0, 1_500_000)
    assert "more than 1500000 bytes" in err
    both = "head -c 20000000 /dev/zero; head -c 20000000 /dev/zero >&2; exit 5"
    status, out, err = vmexec(vm, "--shell", "sh", both)
    assert (status, len(out)) == (5, 1_500_000)
    assert len(err) > 1_500_000
    # And the next one works.
    assert vmexec(vm, "true") == (0, "", "")


def test_a_large_input(vm: str) -> None:
    assert vmexec(vm, "wc", "-c", data=b"x" * 1_000_000) == (0, "1000000\n", "")
    assert vmexec(vm, "--shell", "sh", "ls /tmp")[1] == ""


def test_a_vm_that_is_not_there_or_does_not_run(vm: str) -> None:
    assert vmexec("vm-99", "true")[0] == 125
    guest.define("test-off", Path("/var/lib/libvirt/images/guest.img"), agent=False)
    try:
        assert "does not run" in vmexec("test-off", "true")[2]
    finally:
        virsh("undefine", "test-off")


def test_a_background_process_is_not_waited_for(vm: str) -> None:
    command = ("--timeout", "30", "--shell", "sh", "sleep 60 >/dev/null 2>&1 & echo on")
    assert vmexec(vm, *command)[:2] == (0, "on\n")


def test_a_guest_without_shell(vm: str) -> None:
    """The agent starts the command itself then."""
    vmexec(vm, "--shell", "sh", "mkdir -p /sbin; cp /bin/busybox /sbin/echo; rm /bin/sh")
    try:
        assert vmexec(vm, "/sbin/echo", "yes") == (0, "yes\n", "")
        assert vmexec(vm, "no-such-command")[::2] == (
            127,
            "vmexec: the guest has no command no-such-command\n",
        )
        assert vmexec(vm, "/sbin/echo", data=b"x" * 100_000)[0] == 125
    finally:
        assert vmexec(vm, "/bin/busybox", "ln", "-s", "busybox", "/bin/sh")[0] == 0


def test_a_guest_without_agent(vm: str) -> None:
    """Its agent is stopped: libvirt notices, and vmexec says what to do."""
    vmexec(vm, "--shell", "sh", "mv /bin/qemu-ga /bin/away; (sleep 1; kill $(pidof qemu-ga)) &")
    time.sleep(3)
    status, _, err = vmexec(vm, "true")
    assert status == 125
    assert "no guest agent answers in vm-7: install qemu-guest-agent" in err


def test_shutdown_by_acpi_where_there_is_no_agent(vm: str) -> None:
    done = tool("vmctl", "shutdown", "7", "--timeout", "40", "--json")
    assert done.returncode == 0
    result = json.loads(done.stdout)
    assert (result["used"], result["tried"]) == ("ACPI", ["guest agent: disconnected"])
    warning = done.stderr.decode()
    assert "the next run makes it what Corral says again" in warning
    assert '\'{"state": "stopped"}\' https://corral.example.net/api/v1/vms/7' in warning


def test_shutdown_by_the_agent(vm: str) -> None:
    guest.start("vm-7")
    # What the agent calls.
    script = "mkdir -p /sbin; printf '#!/bin/sh\\nexec poweroff -f\\n' >/sbin/shutdown"
    assert vmexec(vm, "--shell", "sh", script + "; chmod 755 /sbin/shutdown")[0] == 0
    done = tool("vmctl", "shutdown", "7", "--timeout", "40", "--json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["used"], result["tried"]) == (0, "guest agent", [])
    assert tool("vmctl", "is-running", "7").returncode == 1
