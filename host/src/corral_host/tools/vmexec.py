"""The command ``vmexec``: a command inside a guest, through the QEMU guest agent."""

from __future__ import annotations

import argparse
import base64
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from corral_host import __version__
from corral_host.errors import HostError
from corral_host.hostd.config import PATH
from corral_host.tools.common import Host, say
from corral_host.tools.power import agent

#: Exit statuses of vmexec itself; the command's own are passed on.
TIMED_OUT, FAILED, NOT_RUNNABLE, NOT_FOUND = 124, 125, 126, 127
#: Bytes that go to the agent in one message: slow guests take a second for it.
PIECE = 65536
#: Bytes of each stream that come back: both have to fit into one answer of libvirt's (4 MiB, in
#: base64). More than 10 MiB would make libvirt give up on the agent until the guest starts anew.
LIMIT = 1_500_000
#: Seconds for one answer of the agent.
ANSWER = 30
#: Runs "$@" with the input file $1, for at most $2 seconds where the guest has timeout(1), and
#: keeps the beginning of what it prints. Its stdout goes over 5 and 4, its status over 3.
GUARD = """input=$1 seconds=$2 limit=$3
shift 3
if [ -n "$input" ]; then exec <"$input"; rm -f "$input"; fi
if command -v timeout >/dev/null; then set -- timeout -s KILL "$seconds" "$@"; fi
exec 4>&1
status=$(
  {
    {
      {
        { "$@" 3>&- 4>&- 5>&-; echo $? >&3; } 2>&1 >&5 | { head -c "$limit"; cat >/dev/null; } >&2
      } 5>&1 | { head -c "$limit"; cat >/dev/null; } >&4
    }
  } 3>&1
)
exit "$status"
"""
SHELLS = {
    "none": (),
    "sh": ("/bin/sh", "-c"),
    "bash": ("bash", "-c"),
    "cmd": ("cmd.exe", "/c"),
    "powershell": ("powershell.exe", "-NonInteractive", "-Command"),
}

EXAMPLES = """examples:
  vmexec 7 uname -a
  vmexec vm-7 --shell sh 'df -h / | tail -n 1'
  echo hello | vmexec 7 tee /tmp/hello
  vmexec 7 --timeout 600 -- apt-get -y upgrade

Options of the command come after it, or after --. What it prints comes when it has ended, and only
the first 1.5 MB of each stream: write more to a file in the guest. After --timeout the command is
killed where the guest has timeout(1). Without /bin/sh in the guest the agent starts it itself:
then input of more than 64 KB is refused, and output of more than 10 MB ends libvirt's talk with the
agent until that is started anew.

exit status: the command's own (128 + n for signal n); 124 not in time, 125 vmexec failed (no such
  VM, no agent), 126 the command cannot be started, 127 there is no such command
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="vmexec",
        description="Run a command inside a virtual machine of this host.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="vmexec VM [options] [--] COMMAND [ARGUMENT ...]",
    )
    parser.add_argument("--version", action="version", version=f"vmexec {__version__}")
    parser.add_argument("--config", type=Path, default=PATH, help="settings")
    parser.add_argument("--timeout", type=float, default=60, help="seconds (60)")
    parser.add_argument(
        "--shell", choices=SHELLS, default="none", help="let this shell of the guest read it (none)"
    )
    parser.add_argument("--no-input", "-n", action="store_true", help="leave standard input alone")
    parser.add_argument("--json", action="store_true", help="print status and output as JSON")
    parser.add_argument("vm", metavar="VM", help="vm-7, 7, or its uuid")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    words = sys.argv[1:] if arguments is None else arguments
    asked = parser.parse_args(_options_first(parser, words))
    if asked.words[:1] == ["--"]:
        del asked.words[0]
    if not asked.words:
        parser.error("which COMMAND?")
    try:
        host = Host(asked.config)
        try:
            return _exec(host, asked)
        finally:
            host.session.close()
    except HostError as error:
        statuses = {"timeout": TIMED_OUT, "no_command": NOT_FOUND, "not_runnable": NOT_RUNNABLE}
        return _failed(asked, error.code, error.message, statuses.get(error.code, FAILED))
    except Exception as error:
        if type(error).__name__ != "libvirtError":
            raise
        return _failed(asked, "libvirt", str(error), FAILED)


def _options_first(parser: argparse.ArgumentParser, words: list[str]) -> list[str]:
    """Move the options between VM and COMMAND before VM: argparse takes them for COMMAND's."""
    own, number = [], 0
    vm = None
    while number < len(words):
        word = words[number]
        if word == "--" or not word.startswith("-"):
            if vm is not None or word == "--":
                break
            vm = word
            number += 1
            continue
        own.append(word)
        number += 1
        name = word.partition("=")[0]
        action = parser._option_string_actions.get(name)  # noqa: SLF001 - argparse has no other way
        if action is not None and action.nargs is None and "=" not in word and number < len(words):
            own.append(words[number])
            number += 1
    return [*own, *([vm] if vm is not None else []), *words[number:]]


def _exec(host: Host, asked: argparse.Namespace) -> int:
    domain = host.domain(asked.vm)
    guest = Guest(domain)
    command = [*SHELLS[asked.shell]]
    command += [" ".join(asked.words)] if command else asked.words
    data = b"" if asked.no_input or sys.stdin.isatty() else sys.stdin.buffer.read()
    result = guest.run(command, data, asked.timeout)
    status = result["status"]
    if asked.json:
        texts = {key: result[key].decode(errors="replace") for key in ("stdout", "stderr")}
        print(json.dumps({**result, **texts}, indent=2))  # noqa: T201
    else:
        sys.stdout.buffer.write(result["stdout"])
        sys.stdout.flush()
        sys.stderr.buffer.write(result["stderr"])
        sys.stderr.flush()
    if result["truncated"]:
        say(f"vmexec: it printed more than {LIMIT} bytes: this is the beginning")
    return status


def _failed(asked: argparse.Namespace, code: str, message: str, status: int) -> int:
    if asked.json:
        print(json.dumps({"error": {"code": code, "message": message}}, indent=2))  # noqa: T201
    else:
        say(f"vmexec: {message}")
    return status


class Guest:
    """The agent of a domain that runs. Raises ``HostError`` that says why there is none."""

    def __init__(self, domain: Any) -> None:  # noqa: ANN401
        """Look whether there can be an agent."""
        self._domain = domain
        name = domain.name()
        if not domain.isActive():
            raise HostError("not_running", f"{name} does not run")
        state = agent(domain)
        if state == "missing":
            raise HostError("no_agent", f"{name} has no channel org.qemu.guest_agent.0")
        if state != "connected":
            raise HostError(
                "no_agent",
                f"no guest agent answers in {name}: install qemu-guest-agent in the guest and start"
                " it, or wait until the guest has booted",
            )

    def run(self, command: list[str], data: bytes, timeout: float) -> dict[str, Any]:
        """Run a command and wait for its end. Returns status, stdout, stderr and truncated."""
        end = time.monotonic() + timeout
        file, rest = "", data
        try:
            if len(data) > PIECE:
                file, rest = self._copy(data), b""
            seconds = str(math.ceil(timeout) + 1)
            guarded = ["/bin/sh", "-c", GUARD, "vmexec", file, seconds, str(LIMIT + 1), *command]
            number = self._start(guarded, rest)
        except HostError as error:
            if error.code != "no_command":
                raise
            if len(data) > PIECE:
                raise HostError(
                    "too_long", "the guest has no /bin/sh to take so much input"
                ) from error
            number = self._start(command, data)
        found = self._end_of(number, end)
        if found is None:
            raise HostError(
                "timeout", f"it did not end within {timeout:g} s; timeout(1) of the guest ends it"
            )
        texts = [base64.b64decode(found.get(key, "")) for key in ("out-data", "err-data")]
        flags = found.get("out-truncated") or found.get("err-truncated")
        return {
            "status": 128 + found["signal"] if "signal" in found else found.get("exitcode", FAILED),
            "stdout": texts[0][:LIMIT],
            "stderr": texts[1][:LIMIT],
            "truncated": bool(flags) or any(len(text) > LIMIT for text in texts),
        }

    def _start(self, command: list[str], data: bytes) -> int:
        """Start a command and return its process id in the guest."""
        arguments: dict[str, Any] = {"path": command[0], "arg": command[1:], "capture-output": True}
        if data:
            arguments["input-data"] = base64.b64encode(data).decode()
        return self.ask("guest-exec", arguments)["pid"]

    def _end_of(self, number: int, end: float) -> dict[str, Any] | None:
        """Wait until a process has ended; ``None`` when it has not in time."""
        pause = 0.01
        while True:
            found = self.ask("guest-exec-status", {"pid": number})
            if found["exited"]:
                return found
            left = end - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, 0.5)

    def _copy(self, data: bytes) -> str:
        """Write data to a file in the guest that root alone can read, and return its name."""
        made = self._end_of(
            self._start(["/bin/sh", "-c", "umask 077; mktemp /tmp/vmexec.XXXXXX"], b""),
            time.monotonic() + ANSWER,
        )
        path = base64.b64decode((made or {}).get("out-data", "")).decode().strip()
        if not path:
            raise HostError("no_input", "the guest can make no file for standard input in /tmp")
        handle = self.ask("guest-file-open", {"path": path, "mode": "w"})
        for start in range(0, len(data), PIECE):
            piece = base64.b64encode(data[start : start + PIECE]).decode()
            self.ask("guest-file-write", {"handle": handle, "buf-b64": piece})
        self.ask("guest-file-close", {"handle": handle})
        return path

    def ask(self, command: str, arguments: dict[str, Any]) -> Any:  # noqa: ANN401
        """Ask the agent one thing."""
        import libvirt  # noqa: PLC0415
        import libvirt_qemu  # noqa: PLC0415

        request = json.dumps({"execute": command, "arguments": arguments})
        try:
            answer = libvirt_qemu.qemuAgentCommand(self._domain, request, ANSWER, 0)
        except libvirt.libvirtError as error:
            raise _agent_error(error, command, arguments) from error
        return json.loads(answer)["return"]


def _agent_error(error: Any, command: str, arguments: dict[str, Any]) -> HostError:  # noqa: ANN401
    import libvirt  # noqa: PLC0415

    text = str(error)
    path = arguments.get("path", "")
    if command == "guest-exec" and "No such file or directory" in text:
        return HostError("no_command", f"the guest has no command {path}")
    if command == "guest-exec" and "Failed to execute child process" in text:
        return HostError("not_runnable", f"the guest cannot start {path}: {text}")
    if "has been disabled" in text or "not been found" in text or "CommandNotFound" in text:
        return HostError(
            "disabled",
            f"the guest's agent does not allow {command}: see --block-rpcs or --blacklist in the"
            " guest's /etc/sysconfig/qemu-ga or /etc/default/qemu-guest-agent",
        )
    if error.get_error_code() in (
        libvirt.VIR_ERR_AGENT_UNRESPONSIVE,
        libvirt.VIR_ERR_AGENT_UNSYNCED,
        getattr(libvirt, "VIR_ERR_AGENT_COMMAND_TIMEOUT", -1),
    ):
        return HostError(
            "no_agent",
            f"the guest's agent does not answer: {text}. If it stays so, start it anew there",
        )
    if "too large" in text or "exceeds" in text or "larger than" in text:
        return HostError("too_long", f"it printed more than fits into an answer: {text}")
    return HostError("agent", text)


if __name__ == "__main__":
    sys.exit(main())
