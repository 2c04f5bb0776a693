"""The commands corral-host and its coprocess, as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from corral_host import __version__
from corral_host.kinds import KINDS

SOURCE = Path(__file__).parents[1] / "src"


def host(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "corral_host.cli", *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_help_has_examples() -> None:
    done = host("--help")
    assert "corral-host compare bridge < bridges.json" in done.stdout
    assert "exit status: 0" in done.stdout
    assert host().returncode == 2
    assert host("--version").stdout == f"corral-host {__version__}\n"


def test_check_tells_what_cannot_be_right() -> None:
    good = {"document": {"1-a": {"ensure": "present", "node": "hv1"}}}
    done = host("check", text=json.dumps(good))
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    bad = {"document": {"1-a": {"ensure": "present"}}, "bridge": {"br-7-0": {"ensure": "perhaps"}}}
    done = host("check", text=json.dumps(bad))
    assert done.returncode == 1
    wrong = json.loads(done.stdout)
    assert [(one["kind"], one["name"]) for one in wrong] == [
        ("document", "1-a"),
        ("bridge", "br-7-0"),
    ]


@pytest.mark.parametrize(
    ("command", "text", "message"),
    [
        (("check",), "", "standard input is not JSON"),
        (("check",), '{"bridge": ', "standard input is not JSON"),
        (("check",), '["bridge"]', 'standard input must be {"kind": {"name": {spec}}}'),
        (("check",), '{"bridge": 1}', 'standard input must be {"kind": {"name": {spec}}}'),
        (("check",), '{"cloud": {"x": {"ensure": "present"}}}', "there is no kind 'cloud'"),
        (("compare", "bridge"), "nonsense", "standard input is not JSON"),
        (("apply", "bridge"), "[]", 'standard input must be {"name": {spec}}'),
    ],
)
def test_bad_input_is_told_in_a_line(command: tuple[str, ...], text: str, message: str) -> None:
    done = host(*command, text=text)
    assert done.returncode == 1
    assert message in done.stderr + done.stdout
    assert len(done.stderr.splitlines()) <= 1


def test_an_unknown_kind_is_a_usage_error() -> None:
    done = host("list", "cloud")
    assert done.returncode == 2
    assert "invalid choice: 'cloud'" in done.stderr


def test_observe_prints_json() -> None:
    found = json.loads(host("observe").stdout)
    assert set(found) == {"facts", "things"}


def test_serve_answers_each_line_and_goes_on() -> None:
    requests = [
        '{"id": 1, "op": "hello"}',
        "nonsense",
        "[]",
        '{"id": 4, "op": "fly"}',
        '{"id": 5, "op": "list"}',
        "",
        '{"id": 7, "op": "check", "things": {"document": {"1-a": {"ensure": "present"}}}}',
        '{"id": 8, "op": "compare", "kind": "document", "things": {"1-a": {"ensure": "x"}}}',
        '{"id": 9, "op": "apply", "kind": "document", "name": "1-a", "spec": {}}',
    ]
    done = host("serve", text="\n".join(requests) + "\n")
    assert done.returncode == 0
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["id"] for one in answers] == [1, None, None, 4, 5, 7, 8, 9]
    hello = answers[0]["result"]
    assert (hello["protocol"], hello["version"]) == (1, __version__)
    assert set(hello["kinds"]) == set(KINDS)
    assert all(one for one in hello["kinds"].values())
    codes = [one.get("error", {}).get("code") for one in answers]
    assert codes == [None, "bad_spec", "bad_spec", "unknown_op", "bad_spec", None, None, "bad_spec"]
    assert answers[5]["result"][0]["message"] == "document 1-a names no node"
    assert answers[6]["result"]["1-a"]["error"]["code"] == "bad_spec"
