"""The real servers that tests start: they are what they say, fail as told, and leave nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import threading
from contextlib import suppress

import pytest
import redis

from askonce.testing import binaries, servers
from askonce.testing.binaries import ENGINES, Engine, found
from askonce.testing.certificates import make_certificates
from askonce.testing.ports import HOST, free_port
from askonce.testing.processes import wait_until
from askonce.testing.servers import Server

every_engine = pytest.mark.parametrize("name", ENGINES)
KEPT = ("appendonly yes", "appendfsync always")


def client_of(server, **options):
    # By default redis-py tries again for seconds, even after a wrong password.
    return redis.Redis.from_url(server.url, socket_timeout=5, retry=None, **options)


def listens(port):
    # One that ends meanwhile resets.
    with suppress(ConnectionRefusedError, ConnectionResetError):
        socket.create_connection((HOST, port), 5).close()
        return True
    return False


@every_engine
def test_a_server_is_the_engine_that_was_asked_for(engine, name):
    binary = engine(name)
    with Server(binary) as server, client_of(server) as client:
        said = client.info("server")
        assert said["process_id"] == server.pid
        assert said["tcp_port"] == server.port
        assert said.get("valkey_version", said["redis_version"]) == binary.version


@pytest.mark.parametrize("fixture", ["valkey", "redis8", "redis7"])
def test_a_shared_server_answers(fixture, request):
    with client_of(request.getfixturevalue(fixture)) as client:
        assert client.ping()


def test_a_server_answers_on_its_unix_socket(valkey):
    with redis.Redis.from_url(valkey.unix_url) as client:
        assert client.info("server")["process_id"] == valkey.pid


def test_a_password_of_any_characters_is_asked_for(engine):
    password = "a b\"\\'é:/@%"
    with Server(engine("valkey9"), password=password) as server:
        for url in (server.url, server.unix_url):
            with redis.Redis.from_url(url) as client:
                assert client.ping()
        stranger = redis.Redis(port=server.port, retry=None)
        with stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()


@every_engine
def test_a_changed_password_outlives_a_restart(engine, name):
    with Server(engine(name), password="old") as server:
        old = server.url
        server.change_password("new")
        server.restart()
        with client_of(server) as client:
            assert client.ping()
        late = redis.Redis.from_url(old, retry=None)
        with late, pytest.raises(redis.AuthenticationError):
            late.ping()


def test_users_and_their_rights_are_lines_of_the_configuration(engine):
    with (
        Server(engine("valkey9"), config=["user reader on >secret ~open:* +get"]) as server,
        redis.Redis(port=server.port, username="reader", password="secret") as client,
    ):
        assert client.get("open:1") is None
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.get("closed:1")
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.set("open:1", "x")


@every_engine
@pytest.mark.parametrize(("config", "kept"), [(KEPT, b"1"), ((), None)], ids=["kept", "not kept"])
def test_data_outlives_a_kill_where_it_is_kept(engine, name, config, kept):
    with Server(engine(name), config=config) as server:
        with client_of(server) as client:
            client.set("answer", 1)
        port, pid = server.port, server.pid
        server.kill()
        assert not server.is_running
        assert not listens(port)
        server.start()
        assert server.port == port
        assert server.pid != pid
        with client_of(server) as client:
            assert client.get("answer") == kept


def test_a_paused_server_says_nothing_until_it_goes_on(engine):
    with Server(engine("valkey9")) as server, socket.create_connection((HOST, server.port)) as line:
        server.pause()
        assert server.is_running
        assert not server.is_answering
        line.sendall(b"PING\r\n")
        line.settimeout(0.05)
        with pytest.raises(TimeoutError):
            line.recv(100)
        line.settimeout(10)
        server.resume()
        assert server.is_answering
        assert line.recv(100) == b"+PONG\r\n"


@pytest.mark.parametrize("end", [Server.kill, Server.stop, Server.restart, Server.close])
def test_a_paused_server_can_be_ended(engine, end):
    with Server(engine("valkey9")) as server:
        pid = server.pid
        server.pause()
        end(server)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(servers.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(RuntimeError, match="no-such-directive"):
        Server(engine("valkey9"), config=["no-such-directive yes"]).__enter__()
    assert not list(tmp_path.iterdir())


def test_a_port_that_somebody_takes_first_is_left_to_them(engine, valkey, monkeypatch):
    ports = [valkey.port, free_port()]
    monkeypatch.setattr(servers, "free_port", lambda: ports.pop(0))
    with Server(engine("valkey9")) as server:
        assert not ports
        assert server.facts("INFO", "server")["process_id"] == str(server.pid)


def test_a_given_port_is_that_port_or_an_error(engine):
    with Server(engine("valkey9"), port=free_port()) as server, client_of(server) as client:
        assert client.ping()
        with pytest.raises(RuntimeError, match="Address already in use"):
            Server(engine("valkey9"), port=server.port).__enter__()
        assert client.ping()


def test_a_closed_server_leaves_no_process_and_no_file(engine):
    with Server(engine("valkey9"), config=KEPT) as server:
        pid, folder = server.pid, server.folder
        assert "Ready to accept connections" in server.log
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not folder.exists()
    server.close()


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "1 / 0"])
def test_a_server_ends_with_the_process_that_started_it(engine, end, tmp_path):
    program = f"""
        import os, signal, tempfile
        from askonce.testing.binaries import find
        from askonce.testing.servers import Server

        tempfile.tempdir = {str(tmp_path)!r}
        server = Server(find("valkey9")).__enter__()
        server.pause()
        print(server.port, flush=True)
        {end}
    """
    engine("valkey9")
    command = [sys.executable, "-c", textwrap.dedent(program)]
    ended = subprocess.run(command, capture_output=True, timeout=60, check=False)
    port = int(ended.stdout)
    wait_until(lambda: not listens(port), "the server is gone")


def test_a_server_outlives_the_thread_that_started_it(engine):
    with Server(engine("valkey9")) as server:
        thread = threading.Thread(target=server.restart)
        thread.start()
        thread.join()
        with client_of(server) as client:
            assert client.ping()


def test_tls_is_spoken_and_can_be_verified(redis_tls, certificates, tmp_path):
    assert redis_tls.url.startswith("rediss://")
    with client_of(redis_tls, ssl_ca_certs=str(certificates.authority)) as client:
        assert client.ping()
    other = make_certificates(tmp_path)
    deceived = client_of(redis_tls, ssl_ca_certs=str(other.authority))
    with deceived, pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        deceived.ping()
    plain = redis.Redis(port=redis_tls.port, socket_timeout=5, retry=None)
    with plain, pytest.raises(redis.ConnectionError):
        plain.ping()


@every_engine
def test_an_engine_has_tls_where_it_says_so(engine, name, certificates):
    binary = engine(name)
    server = Server(binary, tls=certificates)
    if binary.tls:
        authority = str(certificates.authority)
        with server, client_of(server, ssl_ca_certs=authority) as client:
            assert client.ping()
    else:
        with pytest.raises(RuntimeError, match="TLS"):
            server.__enter__()


def test_the_search_module_that_came_with_a_server_can_be_loaded(engine):
    binary = engine("redis7")
    with Server(binary, config=[f'loadmodule "{binary.search}"']) as server:
        assert server.command("FT._LIST") == []


def test_an_engine_that_is_not_here_or_does_not_run_is_none(tmp_path, monkeypatch):
    impostor = tmp_path / "redis-server"
    engines = {
        "missing": Engine("install it", lambda: None),
        "impostor": Engine("install it", lambda: impostor),
    }
    monkeypatch.setattr(binaries, "ENGINES", engines)
    assert found() == {"missing": None, "impostor": None}
    impostor.write_text("#!/bin/sh\necho nothing\n")
    impostor.chmod(0o755)
    assert found() == {"missing": None, "impostor": None}
