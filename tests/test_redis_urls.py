from __future__ import annotations

import pytest

from askonce import Cache
from askonce.errors import ConfigError
from askonce.redis import address


@pytest.mark.parametrize(
    ("url", "facts"),
    [
        ("redis://localhost", {"hosts": (("localhost", 6379),), "tls": None, "database": 0}),
        ("redis://", {"hosts": (("localhost", 6379),)}),
        ("valkey://cache:7000/3", {"hosts": (("cache", 7000),), "database": 3}),
        ("redis://[::1]:7000", {"hosts": (("::1", 7000),)}),
        ("redis://me:p%40ss@cache", {"username": "me", "password": "p@ss"}),
        ("redis://:only@cache", {"username": None, "password": "only"}),
        ("unix:///run/redis.sock?db=2", {"path": "/run/redis.sock", "database": 2, "hosts": ()}),
        (
            "redis+cluster://one:7000,two:7001",
            {"cluster": True, "hosts": (("one", 7000), ("two", 7001))},
        ),
        (
            "redis+sentinel://one,two:7001/answers/4",
            {"service": "answers", "hosts": (("one", 26379), ("two", 7001)), "database": 4},
        ),
        ("rediss://cache", {"tls": (("ssl_check_hostname", True),)}),
        (
            "valkeys://cache?ssl_ca_certs=/etc/ca.pem&ssl_check_hostname=false",
            {"tls": (("ssl_ca_certs", "/etc/ca.pem"), ("ssl_check_hostname", False))},
        ),
        (
            "redis://cache?timeout=20ms&connect_timeout=0.2&connections=4&namespace=team",
            {"timeout": 0.02, "connect_timeout": 0.2, "connections": 4, "namespace": "team"},
        ),
    ],
)
def test_a_url_says_where_and_how(url, facts):
    found = address.read(url)
    assert {name: getattr(found, name) for name in facts} == facts


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("redis://cache?timeot=1", "did you mean 'timeout'?"),
        ("redis://cache?timeout=soon", "use 50ms or 0.05|span of time"),
        ("redis://cache?connections=0", "whole number from 1"),
        ("redis://cache?namespace={a}", "without braces"),
        ("redis://cache/first", "whole number from 0"),
        ("redis://cache:seven", "host:port"),
        ("redis+sentinel://cache", "redis\\+sentinel://host1,host2/mymaster"),
        ("redis+cluster://cache/2", "leave the number out"),
        ("rediss://cache?ssl_check_hostname=maybe", "true or false"),
        ("reddis://cache", "did you mean 'redis'?"),
    ],
)
def test_a_wrong_url_is_refused_at_once_and_names_the_fix(url, fix):
    with pytest.raises(ConfigError, match=fix):
        Cache(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://me:secret@cache/first",
        "redis://me:secret@cache:seven",
        "redis+sentinel://me:secret@cache",
        "redis+cluster://me:secret@cache/2",
    ],
)
def test_no_message_holds_a_password(url):
    with pytest.raises(ConfigError) as refused:
        Cache(url)
    assert "secret" not in str(refused.value)
    assert "secret" not in address.read("redis://me:secret@cache").shown


def test_a_password_is_read_anew_from_its_file(tmp_path):
    file = tmp_path / "password"
    file.write_text("old\n")
    found = address.read(f"redis://me@cache?password_file={file}")
    assert found.credentials() == ("me", "old")
    file.write_text("new\n")
    assert found.credentials() == ("me", "new")
