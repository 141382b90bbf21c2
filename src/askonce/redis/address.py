"""The URL of a Redis: where it is, how it is reached, and how long it may take."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from askonce import units
from askonce.errors import ConfigError
from askonce.stores import REDIS

SHAPES = (
    "redis://host:6379/0, rediss://user:password@host, unix:///run/redis.sock, "
    "redis+cluster://host1,host2 or redis+sentinel://host1,host2/mymaster"
)

TIMEOUT, CONNECT_TIMEOUT = 0.05, 0.1
"""Seconds. A Redis that is well answers in a tenth of a millisecond, and a call can go without."""
CONNECTIONS = 32
"""Connections of each kind that one process opens at most."""

_OPTIONS = (
    "timeout", "connect_timeout", "connections", "namespace", "password_file", "db",
    "sentinel_username", "sentinel_password", "sentinel_tls",
    "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Redis is. Times are in seconds.

    `timeout` bounds each wait for an answer, `connect_timeout` each new connection, `connections`
    how many are open at once. `password_file` is read anew for each connection, so a password can
    be changed while programs run.
    """

    shown: str
    """The URL without its credentials, for messages."""
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    cluster: bool = False
    tls: tuple[tuple[str, str | bool], ...] | None = None
    username: str | None = None
    password: str | None = None
    password_file: str = ""
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    sentinel_tls: bool = False
    database: int = 0
    timeout: float = TIMEOUT
    connect_timeout: float = CONNECT_TIMEOUT
    connections: int = CONNECTIONS
    namespace: str = "askonce"

    @property
    def once(self) -> float:
        """Seconds that one try takes at the longest, on a new connection."""
        return self.timeout + self.connect_timeout

    @property
    def longest(self) -> float:
        """Seconds after which a command is given up: two tries."""
        return 2 * self.once

    def credentials(self) -> tuple[str | None, str | None]:
        """Return the user's name and password as they are now. Raises OSError without the file."""
        if self.password_file:
            return self.username, Path(self.password_file).read_text("utf-8").strip()
        return self.username, self.password


def read(url: str) -> Address:
    """Read a URL. Raises ConfigError that names the nearest right one, and never a password."""
    try:
        parts = urlsplit(url)
    except ValueError:  # its text may hold the password
        plain = re.sub(r"//.*@", "//", url.partition("?")[0])
        raise ConfigError(f"{plain!r} is not the URL of a Redis: use {SHAPES}") from None
    user, _, where = parts.netloc.rpartition("@")
    shown = f"{parts.scheme}://{where}{parts.path}"
    if parts.scheme not in REDIS:
        raise ConfigError(f"{shown!r} is not the URL of a Redis: use {SHAPES}")
    options = _options(parts.query)
    name, _, password = user.partition(":")
    kind = parts.scheme.partition("+")[2]
    path = unquote(parts.path)
    return Address(
        shown=shown,
        hosts=() if parts.scheme == "unix" else _hosts(where, shown, sentinel=kind == "sentinel"),
        path=path if parts.scheme == "unix" else "",
        service=_service(path, shown) if kind == "sentinel" else "",
        cluster=kind == "cluster",
        tls=_tls(options) if parts.scheme.startswith(("rediss", "valkeys")) else None,
        username=unquote(name) or None,
        password=unquote(password) or None,
        password_file=options.get("password_file", ""),
        sentinel_username=options.get("sentinel_username"),
        sentinel_password=options.get("sentinel_password"),
        sentinel_tls=parts.scheme == "rediss+sentinel" and _truth(options, "sentinel_tls"),
        database=_database(path, options, shown, kind),
        timeout=_seconds(options, "timeout", TIMEOUT),
        connect_timeout=_seconds(options, "connect_timeout", CONNECT_TIMEOUT),
        connections=_number(options.get("connections", str(CONNECTIONS)), "connections"),
        namespace=_namespace(options.get("namespace", "askonce")),
    )


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in _OPTIONS:
            near = difflib.get_close_matches(name, _OPTIONS, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigError(f"{name!r} is no option of a Redis URL: {hint}Use {_listed()}")
    return options


def _listed() -> str:
    return ", ".join(_OPTIONS)


def _hosts(where: str, shown: str, *, sentinel: bool) -> tuple[tuple[str, int], ...]:
    usual = 26379 if sentinel else 6379
    hosts = []
    for place in where.split(",") if where else ["localhost"]:
        try:
            parts = urlsplit(f"//{place}")
            hosts.append((parts.hostname or "localhost", parts.port or usual))
        except ValueError as error:
            raise ConfigError(f"{shown!r}: {place!r} is not host:port ({error})") from error
    return tuple(hosts)


def _service(path: str, shown: str) -> str:
    service = path.strip("/").partition("/")[0]
    if not service:
        raise ConfigError(f"{shown!r} names no service: use redis+sentinel://host1,host2/mymaster")
    return service


def _database(path: str, options: dict[str, str], shown: str, kind: str) -> int:
    text = options.get("db", "")
    if not text and not shown.startswith("unix:"):
        rest = path.strip("/")
        text = rest.partition("/")[2] if kind == "sentinel" else rest
    number = _number(text or "0", "db", least=0)
    if kind == "cluster" and number:
        raise ConfigError(f"{shown!r}: a cluster has no database but 0; leave the number out")
    return number


def _number(text: str, name: str, least: int = 1) -> int:
    if not text.isdecimal() or int(text) < least:
        raise ConfigError(f"{name}={text!r} must be a whole number from {least}")
    return int(text)


def _seconds(options: dict[str, str], name: str, usual: float) -> float:
    text = options.get(name)
    if text is None:
        return usual
    return units.seconds(text if text[-1:].isalpha() else float(_decimal(text, name))) or usual


def _decimal(text: str, name: str) -> str:
    if not text.replace(".", "", 1).isdecimal():
        raise ConfigError(f"{name}={text!r} must be a span of time: use 50ms or 0.05")
    return text


def _namespace(name: str) -> str:
    # Braces would choose the slot of a cluster.
    if not name or not name.isprintable() or set(name) & set("{}"):
        raise ConfigError(f"namespace={name!r} must be a plain name without braces")
    return name


def _tls(options: dict[str, str]) -> tuple[tuple[str, str | bool], ...]:
    said: dict[str, str | bool] = {
        name: value for name, value in options.items() if name.startswith("ssl_")
    }
    said["ssl_check_hostname"] = _truth(options, "ssl_check_hostname")
    return tuple(said.items())


def _truth(options: dict[str, str], name: str) -> bool:
    said = options.get(name, "true").lower()
    if said not in ("true", "false"):
        raise ConfigError(f"{name}={said!r} must be true or false")
    return said == "true"
