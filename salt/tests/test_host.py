"""The minion's side of ``corral-host serve``: the real one of this repository, and broken ones."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import time
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

HOST = Path(__file__).parents[2] / "host" / "src"
REAL = ["env", f"PYTHONPATH={HOST}", "PYTHONDONTWRITEBYTECODE=1", "/usr/bin/python3", "-m"]
REAL += ["corral_host.cli"]
STATES = Path(__file__).parents[1] / "states"


@pytest.fixture
def minion(monkeypatch):
    """The module as Salt's loader has it, with its settings as attribute."""
    spec = importlib.util.spec_from_file_location("host", STATES / "_modules" / "corral_host.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.settings = {"corral_host_command": REAL}
    module.__context__ = {}
    module.__salt__ = {
        "config.get": lambda *names: module.settings.get(*names),  # noqa: PLW0108 - as it is then
        "cmd.has_exec": lambda name: name == "env",
    }
    return module


def fake(tmp_path, text: str) -> list:
    """Make a program that says hello and then does something else."""
    program = tmp_path / "fake"
    hello = json.dumps({"id": 1, "result": {"protocol": 1}})
    program.write_text(f"#!/bin/sh\nread line; echo '{hello}'; read line\n{text}\n")
    program.chmod(0o755)
    return [str(program)]


def test_the_real_one(minion):
    hello = minion.request("hello")
    assert "domain" in hello["kinds"]
    wrong = minion.request("check", things={"document": {"41-a": {"ensure": "maybe"}}})
    assert [(one["name"], one["code"]) for one in wrong] == [("41-a", "bad_spec")]
    with pytest.raises(CommandExecutionError, match="there is no kind 'nonsense'") as caught:
        minion.request("list", kind="nonsense")
    assert caught.value.code == "unknown_kind"


def test_salts_own_arguments_are_not_passed_on(minion):
    assert minion.request("list", kind="document", __pub_jid="1", __pub_fun="x") is not None


def test_one_for_a_run_and_it_ends_with_it(minion):
    minion.__context__[minion.KEPT] = kept = {}
    minion.request("hello")
    engine = kept["engine"]
    minion.request("hello")
    assert kept["engine"] is engine
    process = engine._process
    assert process.poll() is None
    kept.clear()
    minion.__context__.clear()
    del engine
    gc.collect()
    assert process.returncode == 0


def test_a_fork_gets_its_own(minion):
    minion.__context__[minion.KEPT] = kept = {}
    minion.request("hello")
    child = os.fork()
    if child == 0:
        parents = kept["engine"]
        minion.request("hello")
        os._exit(0 if kept["engine"] is not parents else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert minion.request("hello")


def test_one_that_was_killed_is_replaced(minion):
    minion.__context__[minion.KEPT] = kept = {}
    minion.request("hello")
    kept["engine"]._process.kill()
    kept["engine"]._process.wait()
    assert minion.request("hello")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo broken >&2; exit 3", "corral-host ended with 3: broken"),
        ("echo nonsense", "said something else"),
        ('echo \'{"id": 7, "result": 1}\'', "answered another question"),
        ("echo '[]'", "answered another question"),
        ("echo '{\"id\": 2}'", "said something else"),
        ("sleep 60", "no answer within 0.3 s"),
    ],
)
def test_broken_ones(minion, tmp_path, text, message):
    minion.settings = {"corral_host_command": fake(tmp_path, text), "corral_host_timeout": 0.3}
    began = time.monotonic()
    with pytest.raises(CommandExecutionError, match=message):
        minion.request("list", kind="domain")
    assert time.monotonic() - began < 7


def test_answers_may_come_in_pieces_and_be_large(minion, tmp_path):
    size = 3_000_000
    text = 'printf \'{"id": 2, "result": "\'; sleep 0.1\n'
    text += f"head -c {size} /dev/zero | tr '\\0' x; echo '\"}}'"
    minion.settings = {"corral_host_command": fake(tmp_path, text)}
    assert len(minion.request("list", kind="domain")) == size


def test_other_protocol(minion, tmp_path):
    program = tmp_path / "other"
    program.write_text('#!/bin/sh\nread line; echo \'{"id": 1, "result": {"protocol": 2}}\'\n')
    program.chmod(0o755)
    minion.settings = {"corral_host_command": str(program)}
    with pytest.raises(CommandExecutionError, match="install versions of both that belong"):
        minion.request("hello")


def test_not_installed(minion):
    minion.settings = {"corral_host_command": "/nonexistent/corral-host --verbose"}
    assert not minion.installed()
    with pytest.raises(CommandExecutionError, match="install the package corral-host"):
        minion.request("hello")


@pytest.mark.parametrize("command", [[], "", [1], {}])
def test_bad_settings(minion, command):
    minion.settings = {"corral_host_command": command}
    with pytest.raises(CommandExecutionError, match="corral_host_command must be"):
        minion.request("hello")
    minion.settings = {"corral_host_timeout": "long"}
    with pytest.raises(CommandExecutionError, match="corral_host_timeout must be"):
        minion.request("hello")
