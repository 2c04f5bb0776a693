"""Enrolment with Corral's own API and the real openssl: keys, proofs, tokens, renewal."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from test_hostd_api import ROOT, Api

from corral_host import enrol as module
from corral_host.cli import main
from corral_host.enrol import Place, enrol, renew
from corral_host.errors import HostError
from corral_host.files import read_json, write_json
from corral_host.session import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NODE = "hv1.fra1.example.com"
OTHER = "hv2.fra1.example.com"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    if not (ROOT / "dist/main.js").exists() or shutil.which("openssl") is None:
        pytest.skip("Corral is not built (npm run build), or openssl is missing")
    one = Api(tmp_path_factory.mktemp("api"))
    yield one
    one.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    settings = Settings(state_dir=tmp_path / "state", etc_dir=tmp_path / "etc")
    monkeypatch.setattr(Settings, "load", lambda *_: settings)
    return Place.on(settings.etc_dir, settings.state_dir)


made = iter(range(100))


def enrolment_token(api: Api, **more: Any) -> str:
    return api.call("POST", "/api/v1/enrolment-tokens", {"name": f"t{next(made)}", **more})["token"]


def read(api: Api, token: str, node: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{api.url}/enc/{node}", headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_from_a_key_to_a_token(
    api: Api, place: Place, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(enrolment_token(api, pattern="hv*"))
    arguments = ["--url", api.url, "--token-file", str(tmp_path / "token"), "--node", NODE.upper()]
    assert main(["enrol", *arguments]) == 0
    said = capsys.readouterr().out
    assert stat.S_IMODE(place.key.stat().st_mode) == 0o600
    assert not place.token.exists()
    row = api.call("GET", f"/api/v1/enrolments?fqdn={NODE}")["enrolments"][0]
    assert f"key is {row['fingerprint']}\n" in said
    assert f"waits to be approved as {NODE.upper()}: corral enrol approve {row['uuid']}" in said
    assert main(["renew"]) == 0
    assert "waits to be approved" in capsys.readouterr().out
    api.call("POST", f"/api/v1/enrolments/{row['uuid']}/approve", {})
    assert main(["renew"]) == 0
    assert "has a new token" in capsys.readouterr().out
    first = place.token.read_text().strip()
    assert stat.S_IMODE(place.token.stat().st_mode) in (0o600, 0o640)
    assert (read(api, first, NODE), read(api, first, OTHER)) == (200, 403)
    # Half of its life is not over.
    assert main(["renew"]) == 0
    assert "good for long enough" in capsys.readouterr().out
    assert place.token.read_text().strip() == first
    # It is, or the clock was set back.
    state = read_json(place.state)
    assert "token" not in json.dumps({**state, "token_file": ""}).replace("token_file", "")
    for since, until in (
        ("2020-01-01T00:00:00.000Z", state["expires_at"]),
        ("2999-01-01T00:00:00.000Z", state["expires_at"]),
    ):
        write_json(place.state, {**read_json(place.state), "since": since, "expires_at": until})
        before = place.token.read_text()
        assert renew(place) == "renewed"
        assert place.token.read_text() != before
    assert read(api, place.token.read_text().strip(), NODE) == 200
    # Asked again with the same key, it is the same enrolment.
    assert main(["enrol", *arguments]) == 0
    assert "is let in" in capsys.readouterr().out
    assert len(api.call("GET", f"/api/v1/enrolments?fqdn={NODE}")["enrolments"]) == 1
    api.call("POST", f"/api/v1/enrolments/{row['uuid']}/reject", {})
    assert read(api, place.token.read_text().strip(), NODE) == 401
    assert main(["renew", "--now"]) == 1
    assert "this key no more" in capsys.readouterr().err


def test_by_rule(api: Api, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    token = enrolment_token(
        api,
        auto_approve=True,
        site="fra1",
        node={"roles": {"hypervisor": {"methods": ["KVM"], "cores": 4, "ram": 1 << 33}}},
    )
    node = "new1.fra1.example.com"
    assert (
        main(["enrol", "--url", f"{api.url}/", "--token", token, "--node", node, "--wait", "10"])
        == 0
    )
    assert f"is let in as {node}" in capsys.readouterr().out
    assert read(api, place.token.read_text().strip(), node) == 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"token": "corral_enrolment_x"}, "is not known here"),
        ({"url": "http://127.0.0.1:9"}, "cannot be asked"),
        ({"url": "ftp://x"}, "must be an address"),
        ({"node": "not a name"}, "must be a full host name"),
    ],
)
def test_refusals_are_told(api: Api, place: Place, change: dict[str, str], message: str) -> None:
    values = {"url": api.url, "token": "corral_enrolment_y", "node": OTHER, **change}
    with pytest.raises(HostError, match=message) as error:
        enrol(place, **values)
    assert "corral_enrolment_" not in error.value.message
    assert not place.state.exists()


def test_a_key_that_is_not_good_is_told(place: Place) -> None:
    with pytest.raises(HostError, match="holds no enrolment"):
        renew(place)
    write_json(place.state, {"url": "http://127.0.0.1:9", "id": "x"})
    place.key.parent.mkdir(parents=True)
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(place.key)], check=True
    )
    place.key.chmod(0o644)
    with pytest.raises(HostError, match="can be read by others"):
        enrol(place, "http://127.0.0.1:9", "x", NODE)
    place.key.write_text("half")
    place.key.chmod(0o600)
    with pytest.raises(HostError, match="openssl pkey"):
        renew(place)
    subprocess.run(
        [
            "openssl",
            "genpkey",
            "-algorithm",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
            str(place.key),
        ],
        check=True,
        capture_output=True,
    )
    with pytest.raises(HostError, match="no Ed25519 key"):
        enrol(place, "http://127.0.0.1:9", "x", NODE)


def test_a_lost_openssl_is_told_and_leaves_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(HostError, match="openssl is not installed"):
        enrol(place, "http://127.0.0.1:9", "x", NODE)
    assert list(place.key.parent.iterdir()) == []
    assert module.KEY == 32
