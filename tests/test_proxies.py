"""A network that is cut, slow and whole again, between a real client and a real server."""

from __future__ import annotations

import os
import socket

import pytest
import redis

from askonce.testing.ports import HOST, free_port
from askonce.testing.proxies import CuttingProxy
from askonce.testing.servers import Server


def client_of(proxy, timeout):
    return redis.Redis(
        port=proxy.port, socket_timeout=timeout, socket_connect_timeout=5, protocol=2, retry=None
    )


def test_everything_passes_both_ways(valkey):
    big = os.urandom(20_000_000)
    with CuttingProxy(valkey.port) as proxy, client_of(proxy, 30) as client:
        client.set("proxied", big)
        assert client.get("proxied") == big
        client.delete("proxied")


def test_a_cut_holds_every_byte_back_until_it_heals(valkey):
    with (
        CuttingProxy(valkey.port) as proxy,
        socket.create_connection((HOST, proxy.port)) as before,
    ):
        before.sendall(b"PING\r\n")
        assert before.recv(100) == b"+PONG\r\n"
        proxy.cut()
        with socket.create_connection((HOST, proxy.port)) as during:
            for line in (before, during):
                line.sendall(b"PING\r\n")
                line.settimeout(0.05)
                with pytest.raises(TimeoutError):
                    line.recv(100)
            proxy.heal()
            for line in (before, during):
                line.settimeout(10)
                assert line.recv(100) == b"+PONG\r\n"


def test_a_cut_holds_back_the_end_of_a_connection(engine):
    with (
        Server(engine("valkey9")) as server,
        CuttingProxy(server.port) as proxy,
        socket.create_connection((HOST, proxy.port)) as line,
    ):
        line.sendall(b"PING\r\n")
        assert line.recv(100) == b"+PONG\r\n"
        proxy.cut()
        server.kill()
        line.settimeout(0.05)
        with pytest.raises(TimeoutError):
            line.recv(100)
        line.settimeout(10)
        proxy.heal()
        assert line.recv(100) == b""


def test_a_client_heals_with_the_network(valkey):
    with CuttingProxy(valkey.port) as proxy, client_of(proxy, 1) as client:
        assert client.ping()
        proxy.cut()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        proxy.heal()
        assert client.ping()


def test_a_delay_is_longer_than_a_client_waits(valkey):
    with CuttingProxy(valkey.port) as proxy:
        with client_of(proxy, 0.1) as hasty:
            proxy.delay(60)
            with pytest.raises(redis.TimeoutError):
                hasty.ping()
        proxy.delay(0.02)
        with client_of(proxy, 10) as patient:
            assert patient.ping()


def test_a_dropped_connection_is_reset_and_another_can_be_made(valkey):
    with (
        CuttingProxy(valkey.port) as proxy,
        socket.create_connection((HOST, proxy.port)) as line,
    ):
        line.sendall(b"PING\r\n")
        assert line.recv(100) == b"+PONG\r\n"
        proxy.drop()
        line.settimeout(10)
        with pytest.raises(ConnectionResetError):
            line.recv(100)
        with client_of(proxy, 10) as client:
            assert client.ping()


def test_a_connection_to_nobody_is_closed():
    with (
        CuttingProxy(free_port()) as proxy,
        socket.create_connection((HOST, proxy.port), timeout=10) as line,
    ):
        assert line.recv(100) == b""


def test_a_closed_proxy_resets_its_connections_and_listens_no_more(valkey):
    with CuttingProxy(valkey.port) as proxy:
        proxy.cut()
        line = socket.create_connection((HOST, proxy.port), timeout=10)
    with line, pytest.raises(ConnectionResetError):
        line.recv(100)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, proxy.port))
    proxy.close()
