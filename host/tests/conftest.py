"""Fixtures that several tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import ceph
from support import libvirt as private

from corral_host.engine import Engine
from corral_host.session import Session, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def libvirtd() -> Iterator[private.Libvirtd]:
    """A real libvirtd at qemu:///system, for this process and what it starts, and no one else.

    The tests are then alone with their network (``lo`` only), /etc/corral, /var/lib/corral and
    /etc/ceph. Skips without root, libvirt or QEMU.
    """
    reason = private.missing()
    if reason is not None:
        pytest.skip(f"no real libvirt: {reason}")
    private.enter()
    daemon = private.Libvirtd()
    yield daemon
    daemon.stop()


@pytest.fixture
def session(libvirtd: private.Libvirtd, tmp_path: Path) -> Iterator[Session]:
    """A session on the private libvirtd, with a state folder of its own."""
    # A BIOS without an operating system does not hear the power button: no need to wait for it.
    one = Session(Settings(state_dir=tmp_path / "state", shutdown_timeout=0.5))
    yield one
    one.close()


@pytest.fixture
def engine(session: Session) -> Engine:
    """The engine on that session."""
    return Engine(session)


@pytest.fixture(scope="module")
def ceph_lab() -> Iterator[ceph.Lab]:
    """An empty place for one cluster, for a file of tests. Skips without root or Ceph."""
    reason = ceph.missing()
    if reason is not None:
        pytest.skip(f"no real Ceph: {reason}")
    lab = ceph.Lab()
    yield lab
    lab.stop()


@pytest.fixture
def ceph_engine(ceph_lab: ceph.Lab) -> Iterator[Engine]:
    """An engine there as each run has it: with nothing remembered."""
    one = Session()
    yield Engine(one)
    one.close()
