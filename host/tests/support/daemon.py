"""A folder with settings and a tool for corral-hostd and corral-converge, as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from support.peer import TOKEN, Peer, until

SOURCE = Path(__file__).parents[2] / "src"

#: Applies what is served, takes as long as the file "seconds" says, ends as "status" says.
TOOL = """#!/bin/sh
cd {folder}
echo "start $$ $(cat version)" >>runs
sleep "$(cat seconds 2>/dev/null || echo 0)"
[ ! -e say ] || cat say
status=$(cat status 2>/dev/null || echo 2)
if [ $status = 2 ]; then
  printf '{{"document": "%s"}}' "$(cat version)" >state/new && mv state/new state/applied.json
fi
echo "end $$" >>runs
exit $status
"""


class Lab:
    """A folder with settings, a tool, an API and corral-hostd."""

    def __init__(self, folder: Path, peer: Peer) -> None:
        self.folder, self.peer = folder, peer
        self.state = folder / "state"
        self.daemon: subprocess.Popen[str] | None = None
        self.log = ""
        (folder / "bin").mkdir()
        self.state.mkdir()
        tool = folder / "bin/puppet"
        tool.write_text(TOOL.format(folder=folder))
        tool.chmod(0o755)
        converge = folder / "bin/corral-converge"
        converge.write_text(
            f"#!/bin/sh\nexec {sys.executable} -m corral_host.converge"
            f' --config {folder}/hostd.conf "$@"\n'
        )
        converge.chmod(0o755)
        (folder / "node.token").write_text(TOKEN + "\n")
        (folder / "version").write_text("1-a")
        (folder / "host.conf").write_text(f"[host]\nstate_dir = {self.state}\n")
        self.configure()

    def configure(self, **settings: str) -> None:
        values = {
            "url": self.peer.url,
            "node": "hv1.example.net",
            "token_file": str(self.folder / "node.token"),
            "start": "command",
            "trigger": str(self.folder / "run/converge"),
            **settings,
        }
        lines = [f"{key} = {value}" for key, value in values.items()]
        (self.folder / "hostd.conf").write_text("\n".join(["[hostd]", *lines, ""]))

    def environment(self) -> dict[str, str]:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1"}

    def start(self, *prefix: str) -> None:
        self.daemon = subprocess.Popen(
            [
                *prefix,
                sys.executable,
                "-m",
                "corral_host.hostd.main",
                "--config",
                f"{self.folder}/hostd.conf",
            ],
            env=self.environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, args=(self.daemon,), daemon=True).start()

    def _read(self, daemon: subprocess.Popen[str]) -> None:
        for line in daemon.stderr or ():
            self.log += line

    def stop(self) -> int:
        assert self.daemon is not None
        daemon, self.daemon = self.daemon, None
        daemon.send_signal(signal.SIGTERM)
        return daemon.wait(10)

    def converge(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["corral-converge", *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def serve(self, version: str, spread: float = 0) -> float:
        (self.folder / "version").write_text(version)
        return self.peer.publish(version, spread)

    def runs(self) -> list[str]:
        path = self.folder / "runs"
        return path.read_text().splitlines() if path.exists() else []

    def starts(self) -> int:
        return sum(line.startswith("start") for line in self.runs())

    def says(self, words: str, seconds: float = 10) -> None:
        until(f"{words} in {self.log}", lambda: words in self.log, seconds)


def connected(lab: Lab) -> None:
    until(f"a connection: {lab.log}", lambda: lab.peer.connections and lab.peer.heartbeats)
