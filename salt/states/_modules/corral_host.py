"""Talk to ``corral-host serve``, the engine on this host that compares and applies things.

The command is the minion's setting, grain or pillar key ``corral_host_command`` (a list, or a text
that is split as a shell would; ``serve`` is added to it), by default ``corral-host``;
``corral_host_timeout`` is how many seconds one answer may take (14400: an image is copied within
one answer).

A state run keeps one engine, with one connection to libvirt and one listing of each kind. It ends
with the run. A function that is called by itself starts one for itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shlex
import subprocess
import tempfile
import time

from salt.exceptions import CommandExecutionError

#: Where the states of a run keep the engine; see ``_states/corral.py``.
KEPT = "corral_host.kept"
PROTOCOL = 1
_CHUNK = 1 << 20
_LONGEST_WORDS = 500


def request(op: str, **arguments: object) -> object:
    """Ask the engine one thing and return its ``result``.

    ``op`` and its arguments are those of the protocol: ``list`` (kind), ``check`` (things),
    ``compare`` (kind, things), ``apply`` (kind, name, spec), ``hello``. Raises
    ``CommandExecutionError`` with the engine's message, and with its stable ``code`` as attribute.

    .. code-block:: bash

        salt hv1.example.net corral_host.request list kind=domain
    """
    # Salt adds __pub_jid and others for functions that take any argument.
    message = {"op": op, **{k: v for k, v in arguments.items() if not k.startswith("__")}}
    kept = __context__.get(KEPT)
    if kept is None:
        with contextlib.closing(_start()) as engine:
            return engine.ask(message)
    engine = kept.get("engine")
    # A forked child, as states with `parallel: True` have, must not talk on its parent's pipe.
    if engine is None or not engine.usable():
        engine = kept["engine"] = _start()
    return engine.ask(message)


def observe() -> dict:
    """Return what the host is (``facts``) and what is on it (``things``), Corral's and others'.

    It is what corral-hostd tells Corral.

    .. code-block:: bash

        salt hv1.example.net corral_host.observe
    """
    try:
        done = subprocess.run(  # noqa: S603 - a list, and no shell
            [*_command(), "observe"], env=_environment(), capture_output=True, check=False
        )
    except OSError as error:
        raise _not_started(error) from error
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        words = done.stderr.decode(errors="replace")[-_LONGEST_WORDS:]
        raise _failure("bad_answer", f"corral-host observe: {words}") from error


def installed() -> bool:
    """Return whether the engine's command is there. It is not before the first run.

    .. code-block:: bash

        salt '*' corral_host.installed
    """
    return bool(__salt__["cmd.has_exec"](_command()[0]))


def _start() -> _Engine:
    timeout = __salt__["config.get"]("corral_host_timeout", 14400)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0:
        raise CommandExecutionError("corral_host_timeout must be a number of seconds")
    return _Engine([*_command(), "serve"], timeout)


def _command() -> list:
    command = __salt__["config.get"]("corral_host_command", "corral-host")
    if isinstance(command, str):
        command = shlex.split(command)
    if not isinstance(command, list) or not command or not all(isinstance(c, str) for c in command):
        raise CommandExecutionError(
            "corral_host_command must be a command, as a text or as a list of texts"
        )
    return command


class _Engine:
    """One running ``corral-host serve``: a line of JSON in, a line of JSON out."""

    def __init__(self, command: list, timeout: float) -> None:
        self._timeout = timeout
        self._number = 0
        self._rest = b""
        self._pid = os.getpid()
        self._process = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it is read when the engine dies
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a list, and no shell
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=_environment(),
                cwd="/",
                # What interrupts salt-call must not stop a change half-way.
                start_new_session=True,
            )
        except OSError as error:
            raise _not_started(error) from error
        spoken = self.ask({"op": "hello"})["protocol"]
        if spoken != PROTOCOL:
            raise _failure(
                "protocol",
                f"corral-host speaks protocol {spoken}, and this state tree {PROTOCOL}: install "
                "versions of both that belong together",
            )

    def usable(self) -> bool:
        """Return whether it runs, and is this process's own."""
        return self._pid == os.getpid() and self._process.poll() is None

    def ask(self, message: dict) -> object:
        """Send one request and return its result."""
        self._number += 1
        line = json.dumps({"id": self._number, **message}).encode() + b"\n"
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError as error:
            raise self._died() from error
        try:
            answer = json.loads(self._line())
            good = isinstance(answer, dict) and answer.get("id") == self._number
            failed = answer.get("error") if good else None
            result = None if failed or not good else answer["result"]
        except (ValueError, KeyError) as error:
            self.close()
            raise _failure("bad_answer", f"corral-host said something else: {error}") from error
        if not good:
            self.close()
            raise _failure("bad_answer", "corral-host answered another question")
        if failed:
            raise _failure(str(failed.get("code")), str(failed.get("message")))
        return result

    def _line(self) -> bytes:
        end = time.monotonic() + self._timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            parts = [self._rest]
            while b"\n" not in parts[-1]:
                if not selector.select(max(0.0, end - time.monotonic())):
                    self.close(grace=0)
                    raise _failure(
                        "timeout", f"corral-host gave no answer within {self._timeout:g} s"
                    )
                # Past the buffer of the pipe's file object, which would wait for more.
                parts.append(os.read(self._process.stdout.fileno(), _CHUNK))
                if not parts[-1]:
                    raise self._died()
        line, _, self._rest = b"".join(parts).partition(b"\n")
        return line

    def _died(self) -> CommandExecutionError:
        self.close()
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip()[-_LONGEST_WORDS:]
        status = self._process.returncode
        return _failure("engine_died", f"corral-host ended with {status}: {words or 'no word'}")

    def close(self, grace: float = 5) -> None:
        """End it: it stops when its input does, and is killed if it has not after ``grace`` s."""
        process = self._process
        if process is None or self._pid != os.getpid():
            return
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


def _environment() -> dict:
    """Return Salt's, without what is for its own Python, which is another one than the engine's."""
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}


def _not_started(error: OSError) -> CommandExecutionError:
    message = f"{error.filename} cannot be started ({error.strerror}): install the package "
    return _failure("no_engine", message + "corral-host, or set corral_host_command")


def _failure(code: str, message: str) -> CommandExecutionError:
    failure = CommandExecutionError(message)
    failure.code = code
    return failure
