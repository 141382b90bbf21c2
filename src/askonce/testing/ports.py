"""Ports of 127.0.0.1 that servers of a test can have."""

from __future__ import annotations

import random
import socket

HOST = "127.0.0.1"

_BUS = 10_000
"""A cluster's nodes talk to each other so far above the port of their clients."""

_PORTS = range(10_000, 20_000)
"""With the bus, all below the ports that systems lend to clients."""


def free_port() -> int:
    """Choose a port that nobody listens on now, nor on the port of its cluster bus."""
    while True:
        port = random.choice(_PORTS)  # noqa: S311 (no secret)
        try:
            for number in (port, port + _BUS):
                socket.create_server((HOST, number)).close()
        except OSError:
            continue
        return port
