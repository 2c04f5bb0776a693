"""The settings."""

from __future__ import annotations

import pytest

from saltext.corral import config
from saltext.corral.errors import ConfigError

URL = "https://corral.example.net"


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "client.yaml"
    monkeypatch.setattr(config, "DEFAULT_FILE", str(path))
    return path


def test_defaults(file):
    file.write_text(f"url: {URL}\n")
    settings = config.load()
    assert settings == config.Settings(url=URL)
    assert (settings.timeout, settings.max_age) == (5, 86_400)
    assert settings.cache_dir == "/var/cache/corral"


def test_the_file_of_the_puppet_client(file):
    file.write_text(
        f"url: {URL}\ntoken_file: /a\nca_file: /b\ncert_file: /c\nkey_file: /d\n"
        "cache_dir: /e\ntimeout: 3\nmax_age: 600\nlog: syslog\n"
    )
    assert config.load() == config.Settings(URL, "/a", "/b", "/c", "/d", "/e", 3, 600)


def test_inline_wins_over_the_section_and_that_over_the_file(file):
    file.write_text(f"url: {URL}\ntimeout: 1\nmax_age: 1\ncache_dir: /file\n")
    settings = config.load({"timeout": 2, "max_age": 2}, {"max_age": 3})
    assert (settings.cache_dir, settings.timeout, settings.max_age) == ("/file", 2, 3)


@pytest.mark.parametrize("form", [str, lambda path: {"config": str(path)}])
def test_another_file(file, tmp_path, form):
    other = tmp_path / "other.yaml"
    other.write_text(f"url: {URL}/other\n")
    file.write_text(f"url: {URL}\n")
    assert config.load(None, form(other)).url == f"{URL}/other"
    assert config.load(form(other), {}).url == f"{URL}/other"
    assert config.load(None, {}).url == URL
    other.unlink()
    with pytest.raises(ConfigError, match="there is no such file"):
        config.load(None, form(other))


def test_no_file_is_needed(file):
    assert config.load(None, {"url": URL}).url == URL
    with pytest.raises(ConfigError, match="url: is not set"):
        config.load()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tokenfile": "/a"}, "unknown setting 'tokenfile'"),
        ({"url": 17}, "url: must be text"),
        ({"url": ""}, "url: must be text"),
        ({"url": "corral.example.net"}, "url: must look like"),
        ({"url": "ftp://corral.example.net"}, "url: must look like"),
        ({"url": "https://"}, "url: must look like"),
        ({"url": "https://user:secret@corral.example.net"}, "url: must look like"),
        ({"url": "https://corral.example.net/?x"}, "url: must look like"),
        ({"url": "https://corral.example.net:99999"}, "url: Port out of range"),
        ({"url": "http://corral.example.net", "ca_file": "/a"}, "ca_file: has no use"),
        ({"key_file": "/a"}, "key_file: has no use without cert_file"),
        ({"token_file": "token"}, "token_file: must be an absolute path"),
        ({"timeout": 0}, "timeout: must be more than 0"),
        ({"timeout": "5"}, "timeout: must be a number of seconds"),
        ({"timeout": True}, "timeout: must be a number of seconds"),
        ({"max_age": -1}, "max_age: must be a number of seconds"),
        ({"max_age": float("inf")}, "max_age: must be a number of seconds"),
    ],
)
def test_every_error_names_the_key(file, given, message):
    with pytest.raises(ConfigError, match=message):
        config.load(None, {"url": URL, **given})


@pytest.mark.parametrize("text", ["- a list\n", "text", "url: [", "a: *b", "\xff"])
def test_a_file_that_is_no_mapping(file, text):
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"client\.yaml: "):
        config.load(None, {"url": URL})


def test_an_unknown_key_in_the_file_names_the_file(file):
    file.write_text(f"url: {URL}\nuri: x\n")
    with pytest.raises(ConfigError, match=r"client\.yaml: unknown setting 'uri'; known are url,"):
        config.load()


def test_options_that_are_no_mapping(file):
    with pytest.raises(ConfigError, match="inline: must be a mapping"):
        config.load(None, ["url"])
    with pytest.raises(ConfigError, match="corral: must be a mapping"):
        config.load(17, {})
