"""corral-hostd and corral-converge as processes, with a small API that does what it is told.

The tool is a script, so that it fails and dawdles on demand; with the real ones run the end-to-end
tests.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.daemon import Lab, connected
from support.peer import TOKEN, Peer, until

from corral_host.files import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def peer() -> Iterator[Peer]:
    one = Peer()
    yield one
    one.close()


@pytest.fixture
def lab(tmp_path: Path, peer: Peer) -> Iterator[Lab]:
    one = Lab(tmp_path, peer)
    yield one
    if one.daemon is not None:
        one.daemon.kill()
        one.daemon.wait()


def test_a_version_is_noticed_run_and_reported(lab: Lab) -> None:
    lab.start()
    connected(lab)
    first = lab.peer.heartbeats[0]
    assert first["node"] == "hv1.example.net"
    assert first["document"] is None
    assert first["run"] == {"running": False}
    assert first["memory"]["total"] > first["memory"]["free"] > 0
    assert first["disks"]["/"]["total"] > 0
    assert len(first["load"]) == 3
    assert len(first["boot_id"]) == 36
    assert first["observation"]["facts"]["cores"] == os.cpu_count()

    asked = lab.serve("2-b")
    until("the run", lambda: lab.starts() == 1)
    noticed = time.monotonic() - asked
    last = until(
        "its report", lambda: next((h for h in lab.peer.heartbeats if h["document"]), None)
    )
    assert last["document"] == "2-b"
    assert last["run"].pop("started_at") <= last["run"].pop("finished_at")
    assert last["run"] == {"running": False, "tool": "puppet", "exit_code": 2}
    assert any(one["run"]["running"] for one in lab.peer.heartbeats)
    assert noticed < 2, f"{noticed:.2f} s, of which most is the start of two interpreters"
    assert lab.peer.tokens == {f"Bearer {TOKEN}"}
    assert read_json(lab.state / "run.json")["ok"] is True
    # Nothing more to do: the same version comes again with each heartbeat.
    time.sleep(0.5)
    assert lab.starts() == 1


def test_sigterm_ends_it_at_once_and_no_token_is_seen(lab: Lab) -> None:
    lab.start()
    connected(lab)
    assert lab.daemon is not None
    command = Path(f"/proc/{lab.daemon.pid}/cmdline").read_bytes()
    assert lab.stop() == 0
    assert TOKEN not in lab.log
    assert TOKEN.encode() not in command


def test_a_connection_that_breaks_is_resumed(lab: Lab) -> None:
    lab.start()
    connected(lab)
    lab.serve("2-b")
    until("the run", lambda: lab.starts() == 1)
    lab.peer.drop()
    until("another connection", lambda: len(lab.peer.connections) == 2)
    assert lab.peer.connections == [None, "2-b"]
    lab.serve("3-c")
    until("another run", lambda: lab.starts() == 2)


def test_an_api_that_is_away_is_waited_for(lab: Lab) -> None:
    lab.peer.close()
    lab.start()
    lab.says("heartbeat: http://127.0.0.1")
    lab.says("Connection refused")
    again = Peer(port=lab.peer.port)
    try:
        (lab.folder / "version").write_text("2-b")
        again.publish("2-b")
        until("the run", lambda: lab.starts() == 1, 30)
        lab.says("heartbeat: well again")
    finally:
        again.close()


def test_a_run_that_fails_is_not_repeated_at_once(lab: Lab) -> None:
    (lab.folder / "status").write_text("4")
    lab.start()
    connected(lab)
    lab.serve("2-b")
    lab.says("run ended with 4, applied: None; again in ")
    wait = float(lab.log.rpartition("again in ")[2].split()[0])
    assert 20 < wait < 40
    last = until("its report", lambda: lab.peer.heartbeats[-1]["run"].get("exit_code"))
    assert last == 4
    time.sleep(0.5)
    assert lab.starts() == 1
    # A new version does not wait.
    (lab.folder / "status").write_text("2")
    lab.serve("3-c")
    until("the next run", (lab.state / "applied.json").exists)
    assert lab.starts() == 2


def test_a_version_that_comes_during_a_run_is_run_after_it(lab: Lab) -> None:
    (lab.folder / "seconds").write_text("1")
    lab.start()
    connected(lab)
    lab.serve("2-b")
    until("the run", lambda: lab.starts() == 1)
    time.sleep(0.2)
    (lab.folder / "seconds").write_text("0")
    # The run that goes on has read its document already.
    (lab.folder / "status").write_text("0")
    lab.serve("3-c")
    time.sleep(0.3)
    assert lab.starts() == 1
    (lab.folder / "status").write_text("2")
    until("another run", lambda: lab.runs()[-1].startswith("end"))
    until("3-c", lambda: read_json(lab.state / "applied.json").get("document") == "3-c")


def test_a_wide_change_waits_at_random(lab: Lab) -> None:
    lab.start()
    connected(lab)
    lab.serve("2-b", spread=3600)
    lab.says("run in ")
    wait = float(lab.log.rpartition("run in ")[2].split()[0])
    assert 0 <= wait <= 3600
    assert lab.starts() == (wait < 1)


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "make a new one"),
        (403, "check node and token_file"),
        (404, "check url and node"),
        (500, "as told"),
    ],
)
def test_refusals_say_what_to_do(lab: Lab, status: int, advice: str) -> None:
    lab.peer.status = status
    lab.start()
    lab.says(f"answers {status}")
    lab.says(advice)
    assert lab.daemon is not None
    assert lab.daemon.poll() is None
    assert TOKEN not in lab.log


def test_a_missing_token_says_what_to_do_and_is_found_later(lab: Lab) -> None:
    (lab.folder / "node.token").unlink()
    lab.start()
    lab.says("node.token: No such file")
    (lab.folder / "node.token").write_text(TOKEN)
    until("a connection", lambda: lab.peer.connections, 20)


def test_wrong_settings_end_it(lab: Lab) -> None:
    lab.configure(tool="chef")
    lab.start()
    assert lab.daemon is not None
    assert lab.daemon.wait(10) == 1
    lab.says("tool = chef: must be puppet or salt")


def certificate(folder: Path, name: str) -> Path:
    path = folder / f"{name}.pem"
    subprocess.run(
        shlex.split(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
            f" -subj /CN={name} -addext subjectAltName=IP:127.0.0.1"
            f" -keyout {path} -out {folder}/{name}.crt"
        ),
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + (folder / f"{name}.crt").read_text())
    return path


def test_tls_is_checked_with_ca_file(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    mine, other = (certificate(tmp_path / "tls", name) for name in ("mine", "other"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(mine)
    peer = Peer(context)
    lab = Lab(tmp_path, peer)
    try:
        lab.configure(ca_file=str(other))
        lab.start()
        lab.says("certificate not accepted")
        assert lab.stop() == 0
        assert peer.tokens == set()
        lab.configure(ca_file=str(mine))
        lab.start()
        connected(lab)
    finally:
        if lab.daemon is not None:
            lab.stop()
        peer.close()


def test_a_daemon_without_rights_asks_root_by_a_file(lab: Lab) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv")
    run = lab.folder / "run"
    run.mkdir()
    shutil.chown(run, 65534, 65534)
    shutil.chown(lab.folder / "node.token", 0, 65534)
    (lab.folder / "node.token").chmod(0o640)
    for folder in (lab.folder, *lab.folder.parents[:-2]):
        folder.chmod(folder.stat().st_mode | 0o011)
    lab.configure(start="trigger")
    lab.start("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")
    connected(lab)
    lab.serve("2-b")
    until("the trigger", (run / "converge").exists)
    assert lab.starts() == 0
    assert lab.converge().returncode == 0
    assert not (run / "converge").exists()
    until("its report", lambda: lab.peer.heartbeats[-1]["document"] == "2-b")
    assert lab.peer.heartbeats[-1]["run"]["exit_code"] == 2


def test_two_runs_never_go_on_at_once(lab: Lab) -> None:
    (lab.folder / "seconds").write_text("0.5")
    threads = [threading.Thread(target=lab.converge) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [line.split()[0] for line in lab.runs()] == ["start", "end"] * 3
    (lab.folder / "seconds").write_text("5")
    going_on = threading.Thread(target=lab.converge)
    going_on.start()
    until("the run", lambda: lab.starts() == 4)
    done = lab.converge("--no-wait")
    assert (done.returncode, lab.starts()) == (75, 4)
    assert "a run is going on already" in done.stderr
    going_on.join()


@pytest.mark.parametrize(("status", "code"), [("0", 0), ("2", 0), ("1", 1), ("4", 1), ("6", 1)])
def test_the_statuses_of_puppet(lab: Lab, status: str, code: int) -> None:
    (lab.folder / "status").write_text(status)
    assert lab.converge().returncode == code
    record = read_json(lab.state / "run.json")
    assert (record["exit_code"], record["ok"]) == (int(status), code == 0)
    assert (lab.state / "run.json").stat().st_mode & 0o777 == 0o644


def test_the_run_of_puppets_own_daemon_is_told_from_a_failure(lab: Lab) -> None:
    words = (
        "Notice: Run of Puppet configuration client already in progress; skipping  (/x exists)\n"
    )
    (lab.folder / "say").write_text(words)
    (lab.folder / "status").write_text("1")
    lab.start()
    connected(lab)
    lab.serve("2-b")
    lab.says("run ended with 1, applied: None; again in 10.0 s")


def test_a_run_that_takes_too_long_is_ended(lab: Lab) -> None:
    (lab.folder / "seconds").write_text("60")
    lab.configure(timeout="1")
    done = lab.converge()
    assert done.returncode == 1
    assert "ended after 1 s" in done.stderr
    assert read_json(lab.state / "run.json")["ok"] is False


def test_a_tool_that_is_missing(lab: Lab) -> None:
    lab.configure(tool="salt")
    environment = {**lab.environment(), "PATH": f"{lab.folder}/bin:/usr/bin:/bin"}
    if shutil.which("salt-call", path="/usr/bin:/bin:/opt/saltstack/salt"):
        pytest.skip("Salt is installed")
    done = subprocess.run(
        ["corral-converge"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "salt-call is not installed" in done.stderr


def test_a_full_disk_does_not_keep_the_tool_from_running(lab: Lab) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    script = f"mount -t tmpfs -o size=4k,nr_inodes=3 tmpfs {lab.state} && : >{lab.state}/a && : >{lab.state}/converge.lock && corral-converge"  # noqa: E501
    (lab.folder / "status").write_text("0")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        env=lab.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "No space left on device" in done.stderr
    assert lab.starts() == 1


def test_settings_that_broke_do_not_start_runs_over_and_over(lab: Lab) -> None:
    lab.configure(tool="chef")
    done = lab.converge()
    assert done.returncode == 1
    assert "tool = chef" in done.stderr


def test_salt_for_real(lab: Lab) -> None:
    salt = Path("/var/cache/corral-e2e/salt/bin/salt-call")
    if not salt.exists():
        pytest.skip("no Salt (test/e2e/install.sh installs it)")
    (lab.folder / "bin/salt-call").symlink_to(salt)
    for name in ("states", "etc"):
        (lab.folder / name).mkdir()
    (lab.folder / "states/top.sls").write_text("base:\n  '*': [one]\n")
    state = lab.folder / "states/one.sls"
    state.write_text(f"{lab.folder}/made:\n  file.managed:\n    - contents: x\n")
    minion = {
        "file_client": "local",
        "root_dir": str(lab.folder / "root"),
        "file_roots": {"base": [str(lab.folder / "states")]},
        "id": "hv1",
    }
    (lab.folder / "etc/minion").write_text(json.dumps(minion))
    lab.configure(tool="salt", arguments=f"-c {lab.folder}/etc")
    done = lab.converge()
    assert done.returncode == 0, done.stdout + done.stderr
    assert (lab.folder / "made").exists()
    state.write_text("no.such.state: {x.y: []}\n")
    assert lab.converge().returncode == 1
    assert read_json(lab.state / "run.json")["ok"] is False
