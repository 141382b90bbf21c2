"""The check of the way to a Redis: is it encrypted, is the server verified, and for how long."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from typing import Any

from askonce.commands.amounts import counted
from askonce.commands.checks import Check
from askonce.redis.address import Address

SOON = 14
"""Days before the end of a certificate from which on it is a warning."""

PATIENCE = 2.0
DAY = 86_400.0


def check(client: Any, found: Address) -> Check:
    """Look at the way to a server that was reached. `client` is connected to it."""
    if found.path:
        return Check("network", "ok", "a socket of this machine")
    host, port = _peer(client)
    if found.tls is None:
        if _is_here(host):
            return Check("network", "ok", f"plain TCP to {host}, which is this machine")
        return Check(
            "network",
            "warn",
            f"plain TCP to {host}: passwords and answers can be read on the way",
            f"let the server speak TLS, and use {found.shown.replace('://', 's://', 1)}"
            if found.shown.startswith(("redis:", "valkey:"))
            else "let the servers speak TLS, and use rediss+cluster:// or rediss+sentinel://",
        )
    said = dict(found.tls)
    if str(said.get("ssl_cert_reqs", "required")).lower() == "none":
        return Check(
            "network",
            "warn",
            f"TLS to {host}, but its certificate is not verified",
            "leave out ssl_cert_reqs=none, and name the authority with ssl_ca_certs=PATH",
        )
    try:
        return _certificate(host, port, said)
    except (OSError, ValueError) as error:
        return Check("network", "warn", f"TLS to {host}; its certificate was not read: {error}")


def _peer(client: Any) -> tuple[str, int]:
    """Return the host and the port at the other end of a client's connection."""
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        return str(connection.host), int(connection.port)
    finally:
        pool.release(connection)


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _certificate(host: str, port: int, said: dict[str, str | bool]) -> Check:
    authority = said.get("ssl_ca_certs")
    context = ssl.create_default_context(cafile=str(authority) if authority else None)
    context.check_hostname = bool(said.get("ssl_check_hostname", True))
    if "ssl_certfile" in said:
        key = said.get("ssl_keyfile")
        context.load_cert_chain(str(said["ssl_certfile"]), str(key) if key else None)
    with (
        socket.create_connection((host, port), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=host) as line,
    ):
        certificate, version = line.getpeercert() or {}, line.version()
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    days = int((ends - time.time()) // DAY)
    says = f"{version} to {host}, verified; its certificate is good for {counted(days, 'day')}"
    if days < SOON:
        return Check("network", "warn", says, "renew the server's certificate")
    if not context.check_hostname:
        fix = "leave out ssl_check_hostname=false"
        return Check("network", "warn", f"{says}, but may be that of another host", fix)
    return Check("network", "ok", says)
