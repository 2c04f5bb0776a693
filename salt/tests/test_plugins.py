"""What Salt calls."""

from __future__ import annotations

import pytest
from conftest import MINION, TOKEN, pillar

from saltext.corral.errors import BadAnswerError, ConfigError
from saltext.corral.pillar import corral as pillar_plugin
from saltext.corral.tops import corral as tops_plugin


@pytest.fixture
def inline(server, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    paths = {"token_file": str(tmp_path / "token"), "cache_dir": str(tmp_path / "cache")}
    return {"url": server.url, **paths}


@pytest.fixture
def opts(inline, monkeypatch):
    values = {"master_tops": {"corral": inline}}
    for plugin in (pillar_plugin, tops_plugin):
        monkeypatch.setattr(plugin, "__opts__", values, raising=False)
    return values


def top() -> dict:
    return tops_plugin.top(opts={"id": MINION}, grains={})


def test_good(opts, inline):
    assert pillar_plugin.ext_pillar(MINION, {}, **inline) == pillar()
    assert top() == {"base": ["corral"]}


def test_settings_of_the_section_or_of_a_file(opts, inline, tmp_path):
    opts["corral"] = inline
    opts["master_tops"] = {"corral": None}
    assert pillar_plugin.ext_pillar(MINION, {}, None) == pillar()
    assert top() == {"base": ["corral"]}
    file = tmp_path / "client.yaml"
    file.write_text("\n".join(f"{key}: {value}" for key, value in inline.items()))
    opts["corral"] = None
    opts["master_tops"] = {"corral": str(file)}
    assert pillar_plugin.ext_pillar(MINION, {}, str(file)) == pillar()
    assert pillar_plugin.ext_pillar(MINION, {}, config=str(file)) == pillar()
    assert top() == {"base": ["corral"]}


def test_minions_that_are_not_corrals_are_not_asked_for(opts, inline, server):
    server.always(404, b"{}")
    inline["minions"] = "hv*.example.org"
    assert pillar_plugin.ext_pillar(MINION, {}, **inline) == {}
    assert top() == {}
    inline["minions"] = MINION[:2] + "*"
    with pytest.raises(BadAnswerError, match="404"):
        pillar_plugin.ext_pillar(MINION, {}, **inline)


def test_a_pillar_that_fails_raises(opts, inline, server):
    server.always(410, b'{"code": "deactivated"}')
    with pytest.raises(BadAnswerError, match="deactivated"):
        pillar_plugin.ext_pillar(MINION, {}, **inline)
    with pytest.raises(ConfigError, match="unknown setting 'tokn'"):
        pillar_plugin.ext_pillar(MINION, {}, **inline, tokn="x")


def test_tops_that_fail_name_a_state_that_cannot_exist(opts, server):
    server.always(410, b'{"code": "deactivated", "detail": "Since */? [2026] \\\\ \\u00fc."}')
    (name,) = top()["base"]
    assert name.startswith(f"corral.unavailable: Corral answered 410 for {MINION}")
    assert "deactivated: Since 2026" in name
    assert not set(name) & set("*?[]/\\")
    assert len(name) <= 300


@pytest.mark.parametrize(
    ("opts_of_minion", "message"),
    [({"id": ".."}, "cannot be the id"), ({}, "KeyError"), (None, "TypeError")],
)
def test_tops_never_raise(opts, opts_of_minion, message):
    (name,) = tops_plugin.top(opts=opts_of_minion)["base"]
    assert name.startswith("corral.unavailable: ")
    assert message in name


def test_tops_without_settings(opts):
    opts["master_tops"] = {"corral": {"urll": "x"}}
    assert "unknown setting" in top()["base"][0]
