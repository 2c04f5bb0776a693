"""corral-hostd with Corral's own API, from a change to a heartbeat of what was applied."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.daemon import Lab
from support.peer import Peer, until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(os.environ.get("CORRAL_ROOT", Path(__file__).parents[2]))
NODE = "hv1.fra1.example.com"

#: Records what the API serves to the node as applied.
TOOL = """#!/bin/sh
date +%s.%N >>{folder}/began
token=$(cat {folder}/node.token)
document=$(curl -sf -H "Authorization: Bearer $token" {url}/enc/{node}.json |
  sed 's/.*"corral_document": *"\\([^"]*\\)".*/\\1/')
printf '{{"document": "%s"}}' "$document" >{folder}/state/new
mv {folder}/state/new {folder}/state/applied.json
"""


class Api:
    """The API on a database of its own, with the demonstration fleet."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.token = f"corral_admin_{secrets.token_hex(16)}"
        environment = {
            **os.environ,
            "CORRAL_DATA": str(folder / "data"),
            "PORT": str(port),
            "CORRAL_ADMIN_TOKEN": self.token,
            "CORRAL_DEMO": "1",
            "DATABASE_URL": "",
            "CORRAL_HEARTBEAT_INTERVAL": "2",
        }
        (folder / "data").mkdir()
        with (folder / "api.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["sh", "bin/node", "dist/main.js", "serve"],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )
        until("the API", self._ready, 60)

    def _ready(self) -> bool:
        assert self._process.poll() is None, "the API did not start"
        try:
            with urllib.request.urlopen(f"{self.url}/readyz") as answer:  # noqa: S310
                return answer.status == 200
        except OSError:
            return False

    def call(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(  # noqa: S310
            self.url + path,
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return json.load(answer)

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


@pytest.fixture
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    if not (ROOT / "dist/main.js").exists():
        pytest.skip("Corral is not built (npm run build)")
    one = Api(tmp_path_factory.mktemp("api"))
    yield one
    one.close()


def test_from_a_change_to_what_was_applied(api: Api, tmp_path: Path) -> None:
    unused = Peer()
    lab = Lab(tmp_path, unused)
    unused.close()
    tool = tmp_path / "bin/puppet"
    tool.write_text(TOOL.format(folder=tmp_path, url=api.url, node=NODE))
    token = api.call("POST", "/api/v1/tokens", {"name": "hv1", "kind": "node", "node": NODE})
    (tmp_path / "node.token").write_text(token["token"])
    lab.configure(url=api.url, node=NODE, interval="60")

    def node() -> dict[str, Any]:
        return api.call("GET", f"/api/v1/nodes/{NODE}")

    lab.start()
    first = node()["document"]["current"]
    until(f"the first run: {lab.log}", lambda: node()["document"]["applied"] == first)
    assert node()["heartbeat_at"] is not None
    # The interval of the API holds, not the one in the settings.
    before = node()["heartbeat_at"]
    until("another heartbeat", lambda: node()["heartbeat_at"] != before, 5)

    body = {"name": "noticed", "cores": 1, "ram": 1 << 30, "method": "QEMU", "hypervisor": NODE}
    api.call("POST", "/api/v1/vms", body)
    answered = time.time()
    until("the second run", lambda: node()["document"]["applied"] == node()["document"]["current"])
    assert node()["document"]["current"] != first
    noticed = float((tmp_path / "began").read_text().split()[-1]) - answered
    print(f"from the answer to POST /vms to the start of the tool: {noticed:.3f} s")  # noqa: T201
    assert lab.stop() == 0
    assert token["token"] not in lab.log

    # It resumes: what was applied meanwhile is not run again.
    runs = len((tmp_path / "began").read_text().split())
    lab.start()
    time.sleep(2)
    assert len((tmp_path / "began").read_text().split()) == runs
    assert lab.stop() == 0


def test_the_token_of_another_node_is_refused(api: Api, tmp_path: Path) -> None:
    unused = Peer()
    lab = Lab(tmp_path, unused)
    unused.close()
    nodes = [one["fqdn"] for one in api.call("GET", "/api/v1/nodes")["nodes"]]
    other = next(one for one in nodes if one != NODE)
    token = api.call("POST", "/api/v1/tokens", {"name": "hv2", "kind": "node", "node": other})
    (tmp_path / "node.token").write_text(token["token"])
    lab.configure(url=api.url, node=NODE)
    lab.start()
    lab.says("heartbeat: ")
    lab.says("events: ")
    assert "40" in lab.log
    assert lab.starts() == 0
