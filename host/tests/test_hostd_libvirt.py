"""corral-hostd without rights, on a real libvirt: it sees domains, and tells at once."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest
from support.daemon import Lab, connected
from support.libvirt import virsh
from support.peer import Peer, until

if TYPE_CHECKING:
    from pathlib import Path

    from support.libvirt import Libvirtd

XML = """<domain type='qemu'><name>vm-4</name>
<metadata><vm xmlns='urn:corral:vm:1' id='4'/></metadata>
<memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"""
WITHOUT_RIGHTS = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")


def test_domains_are_told_at_once(libvirtd: Libvirtd, tmp_path: Path) -> None:
    if shutil.which("setpriv") is None or os.geteuid() != 0:
        pytest.skip("needs root and setpriv")
    (tmp_path / "vm.xml").write_text(XML)
    virsh("define", str(tmp_path / "vm.xml"))
    peer = Peer()
    lab = Lab(tmp_path, peer)
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(folder.stat().st_mode | 0o011)
    try:
        lab.start(*WITHOUT_RIGHTS)
        connected(lab)
        first = peer.heartbeats[0]
        assert first["domains"]["vm-4"]["state"] == "stopped"
        assert first["observation"]["things"]["domain"]["vm-4"]["managed"] is True
        # Its events are on by now.
        time.sleep(1)

        def said(state: str) -> float | None:
            last = peer.heartbeats[-1]
            return last["at"] if last["domains"]["vm-4"]["state"] == state else None

        for command, state in (("start", "running"), ("suspend", "paused"), ("destroy", "stopped")):
            virsh(command, "vm-4")
            until(f"{state} in a heartbeat", lambda state=state: said(state), 30)
            things = peer.heartbeats[-1]["observation"]["things"]
            assert things["domain"]["vm-4"]["state"] == state
        count = len(peer.heartbeats)
        time.sleep(1)
        assert len(peer.heartbeats) <= count + 1, "nothing happened, nothing is sent"
    finally:
        assert lab.daemon is None or lab.stop() == 0
        peer.close()
        virsh("destroy", "vm-4", check=False)
        virsh("undefine", "vm-4")
