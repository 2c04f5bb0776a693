"""The Debian package: it builds, installs into a root of its own, and its commands run there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from corral_host import __version__

SOURCE = Path(__file__).parents[1]
COMMANDS = {
    "bin": ("corral-host", "vmctl", "vmexec", "volctl"),
    "sbin": ("corral-hostd", "corral-converge"),
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    missing = [one for one in ("dpkg-buildpackage", "dh", "dh_python3") if not shutil.which(one)]
    if missing:
        pytest.skip(f"{', '.join(missing)}: not installed (apt-get install debhelper dh-python)")
    folder = tmp_path_factory.mktemp("deb")
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache", "corral-host", ".debhelper")
    shutil.copytree(SOURCE, folder / "host", ignore=ignored, symlinks=True)
    done = subprocess.run(
        ["dpkg-buildpackage", "-us", "-uc", "-b"],
        cwd=folder / "host",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / f"corral-host_{__version__}_all.deb"


@pytest.fixture(scope="module")
def root(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
    return folder


def installed(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command where the package's files are where they belong."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    script = f"""set -e
    mount --make-rprivate /
    mkdir -p /usr/lib/python3/dist-packages
    for one in usr/lib/python3/dist-packages usr/bin usr/sbin; do
      mount -t overlay overlay -o lowerdir={root}/$one:/$one /$one
    done
    cd /
    exec "$@"
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        ["unshare", "--mount", "bash", "-c", script, "bash", *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_version_is_one(package: Path) -> None:
    assert package.exists()
    fields = subprocess.check_output(["dpkg-deb", "-f", str(package)], text=True)
    assert f"Version: {__version__}\n" in fields
    assert "python3 (>= 3.9)" in fields


def test_what_is_in_it(package: Path, root: Path) -> None:
    for folder, names in COMMANDS.items():
        for name in names:
            assert (root / "usr" / folder / name).stat().st_mode & 0o777 == 0o755
            section = 8 if folder == "sbin" else 1
            assert (root / f"usr/share/man/man{section}/{name}.{section}.gz").exists()
    units = {path.name for path in root.glob("**/systemd/system/*")}
    assert units == {
        "corral-hostd.service",
        "corral-converge.service",
        "corral-converge.path",
        "corral-renew.service",
        "corral-renew.timer",
    }
    assert list((root / "etc").iterdir()) == [root / "etc/corral"]
    assert not list(root.rglob("*.pyc"))
    modules = root / "usr/lib/python3/dist-packages/corral_host"
    ours = {str(one.relative_to(SOURCE / "src/corral_host")) for one in SOURCE.rglob("src/**/*.py")}
    assert {str(one.relative_to(modules)) for one in modules.rglob("*.py")} == ours


def test_the_commands_run_from_there(root: Path) -> None:
    for names in COMMANDS.values():
        for name in names:
            done = installed(root, name, "--version")
            assert (done.returncode, done.stdout) == (0, f"{name} {__version__}\n"), done.stderr
    done = installed(root, "corral-host", "observe")
    assert f'"corral_host": "{__version__}"' in done.stdout, done.stderr
    done = installed(root, "corral-hostd", "--config", "/nowhere/hostd.conf")
    assert done.returncode == 1
    assert "hostd.conf" in done.stderr


def test_the_daemons_user(package: Path, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "-e", str(package), str(tmp_path / "control")], check=True)
    script = (tmp_path / "control/postinst").read_text()
    assert "adduser --system --group" in script
    # A run may be what installs the package: it must not be stopped by that.
    assert "restart 'corral-converge" not in script
    assert "corral-converge.service" not in script
    subprocess.run(["sh", "-n", str(tmp_path / "control/postinst")], check=True)


def test_the_pages_and_units_are_well_formed(root: Path) -> None:
    for page in sorted(SOURCE.glob("man/*")):
        done = subprocess.run(
            ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(page)],
            env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        if shutil.which("man"):
            assert (done.returncode, done.stderr) == (0, ""), page
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    done = installed(root, "systemd-analyze", "verify", *map(str, SOURCE.glob("systemd/*")))
    bad = [line for line in done.stderr.splitlines() if "Command 'man" not in line]
    assert bad == []


def test_lintian(package: Path) -> None:
    if shutil.which("lintian") is None:
        pytest.skip("lintian is not installed")
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", str(package)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
