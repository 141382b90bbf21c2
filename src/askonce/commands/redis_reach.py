"""The check whether a Redis can be reached, and what to do where it cannot."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from redis.exceptions import AuthenticationError, NoPermissionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from askonce.commands.amounts import span
from askonce.commands.checks import Check
from askonce.redis import clients
from askonce.redis.address import Address
from askonce.redis.clients import UNREADABLE

PATIENCE = 2.0
"""Seconds that a check waits at least: whether the server is quick enough is said apart."""


def patient(found: Address) -> Address:
    """Return the same address for one who has time."""
    return replace(
        found,
        timeout=max(PATIENCE, found.timeout),
        connect_timeout=max(PATIENCE, found.connect_timeout),
    )


def check(found: Address) -> Check:
    """Connect, say who we are, and ask for a sign of life."""
    client = None
    began = time.perf_counter()
    try:
        client = clients.blocking(patient(found))
        client.execute_command("PING")
    except Exception as error:  # noqa: BLE001 (a client raises more than its own errors)
        return _unreachable(error, found)
    finally:
        if client is not None:
            clients.close(client)
    user = found.username or "default"
    secret = "with a password" if found.password or found.password_file else "without a password"
    took = span(time.perf_counter() - began)
    return Check("reach", "ok", f"connected as user {user}, {secret} ({took})")


def _unreachable(error: Exception, found: Address) -> Check:
    said = str(error) or type(error).__name__
    for holds, fix in _REASONS:
        if holds(error, said):
            return Check("reach", "broken", said, fix.format(found=found))
    return Check("reach", "broken", said, "look at the server's log, and at --url")


_REASONS: tuple[tuple[Callable[[Exception, str], bool], str], ...] = (
    (
        lambda _, said: said.startswith(UNREADABLE),
        "write the password into {found.password_file}, or name another password_file",
    ),
    (
        lambda error, said: isinstance(error, AuthenticationError) or "NOAUTH" in said,
        "give the user and the password: redis://USER:PASSWORD@HOST, or password_file=PATH",
    ),
    (
        lambda error, _: isinstance(error, NoPermissionError),
        "allow the user to connect: ACL SETUSER USER +ping +client|setname +client|setinfo",
    ),
    (
        lambda _, said: "Cluster mode is not enabled" in said or "cluster support disabled" in said,
        "the server is no part of a cluster: write redis:// in place of redis+cluster://",
    ),
    (
        lambda _, said: "No master found" in said,
        "the sentinels know no such service, or none answers: redis+sentinel://HOST/SERVICE",
    ),
    (
        lambda _, said: "CERTIFICATE_VERIFY_FAILED" in said,
        "name the authority that signed it: ?ssl_ca_certs=/etc/ssl/redis-ca.pem",
    ),
    (
        lambda _, said: "SSL" in said or "ssl" in said,
        "the server may not speak TLS on this port: use redis://, or its TLS port",
    ),
    (
        lambda _, said: "Connection closed by server" in said or "reset by peer" in said,
        "the server may speak TLS only: use rediss://",
    ),
    (
        lambda _, said: "Name or service" in said or "not known" in said or "resolution" in said,
        "the name of the host cannot be found: look at --url",
    ),
    (
        lambda error, said: isinstance(error, RedisTimeoutError | TimeoutError) or "imeout" in said,
        "nothing answers: look at address, firewall and server; rediss:// needs one with TLS",
    ),
    (
        lambda _, said: "refused" in said or "No such file" in said,
        "no server listens there: start it, or name another address with --url",
    ),
)
