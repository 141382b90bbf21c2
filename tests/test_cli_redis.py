"""The command line on a Redis: `askonce doctor`, and the commands that look and change."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path

import pytest

from askonce import Cache
from askonce.cli import main
from askonce.commands import redis_checks
from askonce.commands.redis_checks import Node
from askonce.redis import address, permissions
from askonce.testing.ports import HOST, free_port
from askonce.testing.processes import wait_until
from askonce.testing.proxies import CuttingProxy
from askonce.testing.servers import Server

LRU = ["maxmemory 100mb", "maxmemory-policy allkeys-lru"]


@pytest.fixture
def doctor(capsys):
    """Run `askonce doctor --json`: exit code, and each check by its name."""

    def command(url):
        code = main(["doctor", "--json", url])
        out, err = capsys.readouterr()
        assert err == ""
        assert "secret" not in out
        return code, {check["name"]: check for check in json.loads(out)["checks"]}

    return command


@pytest.fixture(scope="module")
def server(engine):
    with Server(engine("valkey9"), config=LRU) as made:
        yield made


@pytest.fixture
def url(server):
    return f"{server.url}?namespace={uuid.uuid4().hex}"


def states(found):
    return {name: check["state"] for name, check in found.items()}


# doctor


def test_a_sound_server_is_ok_and_is_left_as_it_was(doctor, server, url):
    with Cache(url, strict=True) as cache:
        cache.put("kept", model="m")
        before = server.command("DBSIZE")
        code, found = doctor(url)
        assert server.command("DBSIZE") == before
        assert cache.get(model="m") == "kept"
    assert code == 0
    assert list(found)[1:11] == [
        "store", "reach", "network", "version", "mode", "permissions", "memory", "latency",
        "replicas", "use",
    ]  # fmt: skip
    assert {found[name]["state"] for name in list(found)[1:11]} == {"ok"}
    assert found["store"]["says"] == f"{server.url} (from --url)"
    assert found["version"]["says"].startswith("Valkey 9.")
    assert "an entry was put" in found["use"]["says"]


def test_redis_calls_itself_redis(doctor, redis8):
    assert doctor(redis8.url)[1]["version"]["says"].startswith("Redis 8.")


def test_a_socket_of_this_machine_is_ok(doctor, server):
    found = doctor(server.unix_url)[1]
    assert found["network"]["says"] == "a socket of this machine"
    assert found["use"]["state"] == "ok"


def test_a_cluster_is_looked_at_whole(doctor, redis_cluster):
    found = doctor(redis_cluster.url)[1]
    assert "3 primaries, 3 replicas, 16,384 of 16,384 slots served" in found["mode"]["says"]
    assert (
        found["replicas"]["state"] == found["permissions"]["state"] == found["use"]["state"] == "ok"
    )


def test_sentinels_say_who_leads(doctor, redis_sentinel):
    primary = redis_sentinel.primary().address
    found = doctor(redis_sentinel.url)[1]
    said = f"Sentinel: primary {primary}, 1 replica, 3 of 3 sentinels answer"
    assert found["mode"] == {"name": "mode", "state": "ok", "says": said, "fix": ""}
    hosts, _, service = redis_sentinel.url.rpartition("/")
    found = doctor(f"{hosts},{HOST}:{free_port()}/{service}")[1]
    assert found["mode"]["state"] == "warn"
    assert "3 of 4 sentinels" in found["mode"]["says"]


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        (lambda it: f"redis://{it.address}", "give the user and the password"),
        (lambda it: f"redis://:secret-but-wrong@{it.address}", "give the user and the password"),
        (
            lambda it: f"redis://{it.address}?password_file=/nowhere",
            "write the password into /nowhere",
        ),
        (lambda it: it.url.replace("redis:", "redis+cluster:"), "write redis:// in place of"),
        (lambda it: it.url.replace("redis:", "rediss:"), "rediss:// needs one with TLS"),
        (lambda it: f"redis://{HOST}:{free_port()}", "no server listens there"),
        (lambda it: "unix:///nowhere/socket", "no server listens there"),
        (lambda it: f"redis+sentinel://{HOST}:{free_port()}/answers", "the sentinels know no such"),
    ],
)
def test_what_cannot_be_reached_is_broken_and_names_the_fix(change, fix, doctor, locked):
    code, found = doctor(change(locked))
    assert code == 3
    assert found["reach"]["state"] == "broken"
    assert fix in found["reach"]["fix"]
    assert list(found)[1:3] == ["store", "reach"]
    assert "version" not in found


@pytest.fixture(scope="module")
def locked(engine):
    with Server(engine("redis8"), password="secret") as made:
        yield made


def test_a_name_that_nobody_knows_is_broken(doctor):
    assert "cannot be found" in doctor("redis://no-such-host.invalid")[1]["reach"]["fix"]


def test_a_service_that_sentinels_do_not_know_is_broken(doctor, redis_sentinel):
    assert "know no such service" in doctor(f"{redis_sentinel.url}-other")[1]["reach"]["fix"]


def test_a_node_of_a_cluster_by_itself_is_broken(doctor, redis_cluster):
    code, found = doctor(redis_cluster.nodes[0].url)
    assert (code, found["mode"]["state"]) == (3, "broken")
    assert "redis+cluster://" in found["mode"]["fix"]


def test_a_replica_is_broken_and_its_primary_is_named(doctor, redis_sentinel):
    primary = redis_sentinel.primary()
    replica = next(it for it in redis_sentinel.servers if it is not primary)
    code, found = doctor(replica.url)
    assert (code, found["mode"]["state"]) == (3, "broken")
    assert primary.address in found["mode"]["fix"]


@pytest.mark.parametrize(
    ("facts", "state", "says"),
    [
        ({"redis_version": "6.0.16"}, "broken", "Redis 6.0.16"),
        ({"redis_version": "6.2.0"}, "ok", "Redis 6.2.0"),
        ({"redis_version": "8.10.2"}, "ok", "Redis 8.10.2"),
        ({"redis_version": "9.0.0"}, "warn", "Redis 9.0.0"),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, "ok", "Valkey 9.1.2"),
        ({"redis_version": "7.2.4", "valkey_version": "10.0.0"}, "warn", "Valkey 10.0.0"),
    ],
)
def test_versions_that_were_tried_are_ok(facts, state, says):
    check = redis_checks._version([Node(None, "here", facts)])
    assert (check.state, check.says[: len(says)]) == (state, says)


@pytest.mark.parametrize(
    ("limit", "policy", "says"),
    [
        ("0", "noeviction", "no limit"),
        ("100mb", "noeviction", "keeps nothing new"),
        ("100mb", "volatile-lru", "keeps what never expires"),
        ("100mb", "allkeys-lfu", "allkeys-lfu"),
        ("100mb", "allkeys-lru", "allkeys-lru"),
    ],
)
def test_a_memory_without_end_or_without_eviction_is_a_warning(limit, policy, says, doctor, server):
    server.command("CONFIG", "SET", "maxmemory", limit, "maxmemory-policy", policy)
    found = doctor(server.url)[1]["memory"]
    assert found["state"] == ("ok" if policy.startswith("allkeys") else "warn")
    assert says in found["says"]
    assert bool(found["fix"]) is (found["state"] == "warn")


def test_a_slow_server_is_a_warning_that_names_a_timeout(doctor, server):
    with CuttingProxy(server.port) as proxy:
        proxy.delay(0.02)
        found = doctor(f"redis://{HOST}:{proxy.port}")[1]["latency"]
    assert found["state"] == "warn"
    assert found["fix"].startswith("allow more: ?timeout=")


def test_replicas_that_confirm_nothing_are_a_warning(doctor, engine):
    config = ["repl-diskless-sync-delay 0"]
    with (
        Server(engine("valkey9"), config=config) as primary,
        Server(engine("valkey9"), config=[*config, f"replicaof {HOST} {primary.port}"]) as replica,
    ):
        wait_until(
            lambda: replica.facts("INFO", "replication")["master_link_status"] == "up",
            "the replica is in sync",
        )
        assert doctor(primary.url)[1]["replicas"]["state"] == "ok"
        replica.pause()
        found = doctor(primary.url)[1]["replicas"]
        replica.resume()
    assert found["state"] == "warn"
    assert "no replica has confirmed" in found["says"]


def test_an_address_that_is_not_this_machine_wants_tls(doctor, server, monkeypatch):
    monkeypatch.setattr("askonce.commands.redis_tls._is_here", lambda host: False)
    found = doctor(server.url)[1]["network"]
    assert found["state"] == "warn"
    assert f"rediss://{server.address}" in found["fix"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("ssl_ca_certs={authority}", "verified; its certificate is good for 0 days"),
        ("ssl_cert_reqs=none&ssl_check_hostname=false", "its certificate is not verified"),
    ],
)
def test_a_certificate_is_looked_at(options, says, doctor, redis_tls, certificates):
    found = doctor(f"{redis_tls.url}?{options.format(authority=certificates.authority)}")[1]
    assert found["network"]["state"] == "warn"
    assert says in found["network"]["says"]
    assert found["use"]["state"] == "ok"


def test_a_certificate_of_an_unknown_authority_is_broken(doctor, redis_tls):
    found = doctor(redis_tls.url)[1]
    assert "ssl_ca_certs=" in found["reach"]["fix"]


# Permissions

FOUND = address.read("redis://me:secret@here?namespace=team")
CONNECTING = {"client|setname", "client|setinfo", "ping"}


def user(server, rule):
    """Make a user with these rights, and return the URL by which it comes."""
    server.command("ACL", "DELUSER", "me")
    server.command(*rule.replace("PASSWORD", "secret").split())
    return f"redis://me:secret@{server.address}?namespace=team"


def test_a_user_with_the_documented_rights_is_ok(doctor, server):
    code, found = doctor(user(server, permissions.rule(FOUND, "me")))
    assert (code, found["permissions"]["state"], found["use"]["state"]) == (0, "ok", "ok")


@pytest.mark.parametrize("missing", sorted(set(permissions.COMMANDS) - CONNECTING))
def test_a_command_that_is_not_allowed_is_named(missing, doctor, server):
    rule = permissions.rule(FOUND, "me").replace(f" +{missing} ", " ").removesuffix(f" +{missing}")
    code, found = doctor(user(server, rule))
    check = found["permissions" if missing != "info" else "version"]
    assert (code, check["state"]) == (3, "broken")
    wanted = "ACL SETUSER USER +info" if missing == "info" else f"ACL SETUSER me +{missing}"
    assert check["fix"] == wanted


def test_a_user_who_may_not_even_connect_is_told_what_it_lacks(doctor, server):
    rule = permissions.rule(FOUND, "me").replace(" +client|setname", "")
    code, found = doctor(user(server, rule))
    assert code == 3
    assert "+client|setname" in found["reach"]["fix"]


@pytest.mark.parametrize(
    ("part", "other"), [("~team:*", "~other:*"), ("&team:news", "&other:news")]
)
def test_a_namespace_that_is_not_allowed_is_named(part, other, doctor, server):
    rule = permissions.rule(FOUND, "me").replace(part, other)
    code, found = doctor(user(server, rule))
    assert (code, found["permissions"]["state"]) == (3, "broken")
    assert part in found["permissions"]["fix"].split()


def test_the_list_of_commands_is_the_one_that_people_read():
    text = " ".join((Path(__file__).parent.parent / "docs" / "redis.md").read_text().split())
    assert permissions.rule(address.read("redis://here")) in text
    assert " ".join(f"+{name}" for name in permissions.IN_CLUSTER) in text


# The commands that look and change


@pytest.fixture(params=["valkey", "redis_cluster"])
def kept(request):
    """A store with three entries, one of them with a tag."""
    shared = request.getfixturevalue(request.param)
    url = f"{shared.url}?namespace={uuid.uuid4().hex}"
    with Cache(f"{url}&timeout=5&connect_timeout=5", strict=True) as cache:
        cache.put("one", model="a")
        cache.put("two", model="b")
        with cache.using(tags=["doc:1"]):
            cache.put("three", model="c")
    return url


@pytest.fixture
def command(capsys):
    def call(*words):
        code = main(list(words))
        return code, capsys.readouterr().out

    return call


def test_a_store_is_counted_listed_and_shown(kept, command):
    code, out = command("stats", "--json", "--url", kept)
    said = json.loads(out)
    assert (code, said["entries"], said["tagged"]) == (0, 3, 1)
    assert said["url"] == kept.partition("?")[0]
    assert "path" not in said
    assert command("stats", "--url", kept)[1].startswith(f"store     {said['url']}\n")
    rows = [json.loads(line) for line in command("ls", "--json", "--url", kept)[1].splitlines()]
    assert {row["answer"] for row in rows} == {"one", "two", "three"}
    shown = json.loads(command("show", rows[0]["key"][:12], "--json", "--url", kept)[1])
    assert shown["answer"] == rows[0]["answer"]


def test_what_is_exported_can_be_forgotten_and_imported_again(kept, command, tmp_path):
    file = str(tmp_path / "export.jsonl")
    assert command("export", file, "--json", "--url", kept)[0] == 0
    code, out = command("forget", "--all", "--json", "--url", kept)
    assert (code, json.loads(out)) == (0, {"forgotten": 3})
    assert command("stats", "--url", kept)[0] == 1
    code, out = command("import", file, "--json", "--url", kept)
    assert (code, json.loads(out)["entries"]) == (0, 3)
    with Cache(f"{kept}&timeout=5", strict=True) as cache, cache.using(tags=["doc:1"]):
        assert cache.get(model="c") == "three"
        cache.invalidate(tag="doc:1")
        assert cache.get(model="c") is None


def test_more_than_a_page_is_listed_once_each(url, command):
    async def fill():
        async with Cache(f"{url}&timeout=5", strict=True) as cache:
            for number in range(700):
                cache.put(str(number), number=number)

    asyncio.run(fill())
    rows = command("ls", "--limit", "0", "--json", "--url", url)[1].splitlines()
    assert sorted(int(json.loads(row)["answer"]) for row in rows) == list(range(700))
    assert json.loads(command("forget", "--all", "--json", "--url", url)[1]) == {"forgotten": 700}


def test_a_server_that_is_gone_is_said_in_one_line(capsys):
    assert main(["ls", "--url", f"redis://:secret@{HOST}:{free_port()}"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"askonce: redis://{HOST}:")
    assert "secret" not in err
