"""The settings, from ``/etc/corral/client.yaml``, the master's configuration, or both.

The file is shared with Corral's Puppet client: the same keys with the same meaning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from saltext.corral.errors import ConfigError

DEFAULT_FILE = "/etc/corral/client.yaml"


@dataclass(frozen=True)
class Settings:
    """How to reach Corral, and how long its documents are good for."""

    #: The address of the API, ``https://corral.example.net``. A path before the routes is kept.
    url: str
    #: A file that holds a bearer token and nothing else. Read for every request.
    token_file: str | None = None
    #: PEM file of the authorities to trust; the system's when not set.
    ca_file: str | None = None
    #: PEM file of the client certificate, and of its key when that is not in the same file.
    cert_file: str | None = None
    key_file: str | None = None
    #: Where the last good documents are kept.
    cache_dir: str = "/var/cache/corral"
    #: Seconds for one request as a whole: name, connection, TLS, headers and body.
    timeout: float = 5.0
    #: Seconds since Corral last confirmed a copy, after which it is no longer served.
    max_age: float = 86400.0
    #: Pattern (``*``, ``?``, ``[]``) of the ids of the minions that Corral is asked for. The others
    #: get nothing from it: no pillar, no tops, no failure.
    minions: str = "*"
    #: Where the Puppet client logs; Salt has a log of its own, and does not look at this.
    log: str = "syslog"


_KEYS = tuple(field.name for field in fields(Settings))
_NUMBERS = ("timeout", "max_age")
_PATHS = ("token_file", "ca_file", "cert_file", "key_file", "cache_dir")


def load(master: object = None, inline: object = None) -> Settings:
    """Put the settings together: ``inline`` wins over ``master``, and both over the file.

    ``master`` is the section ``corral`` of the master's configuration; ``inline`` is what stands
    under ``ext_pillar`` or ``master_tops``. Each is a mapping, the path of a settings file, or
    nothing. The key ``config`` in either is that path, too. Raises ``ConfigError``.
    """
    path = None
    given: dict = {}
    for place, options in (("corral", master), ("the options given inline", inline)):
        if isinstance(options, str):
            path = options
        elif options is not None and options is not True:
            layer = dict(_mapping(options, place))
            path = layer.pop("config", None) or path
            _known(layer, place)
            given.update(layer)
    return _settings({**_read(path), **given})


def _read(path: object) -> dict:
    if path is not None and not isinstance(path, str):
        raise ConfigError("config: must be the path of a file")
    file = Path(path or DEFAULT_FILE)
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if path is None:
            return {}
        raise ConfigError(f"{file}: there is no such file") from error
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{file}: is not YAML: {' '.join(str(error).split())}") from error
    values = {} if values is None else _mapping(values, str(file))
    _known(values, str(file))
    return values


def _mapping(values: object, place: str) -> dict:
    if not isinstance(values, dict):
        raise ConfigError(f"{place}: must be a mapping of settings")
    return values


def _known(values: dict, place: str) -> None:
    for key in values:
        if key not in _KEYS:
            raise ConfigError(f"{place}: unknown setting {key!r}; known are {', '.join(_KEYS)}")


def _settings(values: dict) -> Settings:
    values = {key: value for key, value in values.items() if value is not None}
    for key, value in values.items():
        if key in _NUMBERS:
            good = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not good or not math.isfinite(value) or value < 0:
                raise ConfigError(f"{key}: must be a number of seconds, not {value!r}")
        elif not isinstance(value, str) or not value:
            raise ConfigError(f"{key}: must be text, not {value!r}")
        elif key in _PATHS and not value.startswith("/"):
            raise ConfigError(f"{key}: must be an absolute path, not {value!r}")
    if "url" not in values:
        raise ConfigError(f"url: is not set, neither in {DEFAULT_FILE} nor in the configuration")
    settings = Settings(**values)
    if settings.timeout <= 0:
        raise ConfigError("timeout: must be more than 0 seconds")
    _check_url(settings)
    if settings.key_file and not settings.cert_file:
        raise ConfigError("key_file: has no use without cert_file")
    return settings


def _check_url(settings: Settings) -> None:
    try:
        url = urlsplit(settings.url)
        good = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError as error:
        raise ConfigError(f"url: {error}") from error
    if not good or url.query or url.fragment or url.username is not None:
        raise ConfigError("url: must look like https://corral.example.net, without user or query")
    tls = [key for key in ("ca_file", "cert_file") if getattr(settings, key)]
    if url.scheme == "http" and tls:
        raise ConfigError(f"{tls[0]}: has no use with an http url")
