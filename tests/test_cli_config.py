"""`askonce config check`: the settings in force, and what would happen to a request."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from pathlib import Path

import httpx
import pytest

from askonce import Cache
from askonce.cli import main

SECRET = urlsafe_b64encode(bytes(range(32))).decode()

FILE = """\
url = "memory://"
policy = "faq"
tenant = "team-a"

[policies.support]
preset = "faq"
ttl = "72h"
jitter = 0.1
stale_if_error = "1d"
pin_temperature = true

[policies.anything]
sampled = true
effects = true
ttl = "never"

[[rules]]
policy = "live"
system = "(?i)weather"

[[rules]]
policy = "support"
model = "gpt-4o*"
path = "*/chat/completions"
metadata = {use = "faq"}

[[rules]]
policy = "anything"
model = "draft-*"

[[rules]]
policy = "reformulation"
model = "ours-*"

[models]
without_temperature = ["ours-reasoner"]
live = ["ours-search"]

[models.stands_for]
"prod-a" = "gpt-5-mini"
"""


@pytest.fixture
def askonce(capsys, monkeypatch, tmp_path):
    """Run a command beside a settings file: exit code, stdout, stderr."""
    for name in ("ASKONCE_URL", "ASKONCE_CONFIG", "ASKONCE_SECRETS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)
    Path("askonce.toml").write_text(FILE)

    def command(*words):
        try:
            code = main(words)
        except SystemExit as leaving:
            code = leaving.code
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def check(askonce):
    """Check a request, a value or the text of a file, as JSON: exit code, and what was said."""

    def command(request, *words):
        text = request if isinstance(request, str) else json.dumps(request)
        Path("request.json").write_text(text)
        code, out, err = askonce("config", "check", "request.json", "--json", *words)
        assert err == ""
        return code, json.loads(out)

    return command


def chat(text="Why?", **more):
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}


def system(text, **more):
    return chat(**more) | {"messages": [{"role": "system", "content": text}]}


# The settings


def test_each_setting_is_told_with_its_value_and_where_it_was_made(askonce, monkeypatch):
    monkeypatch.setenv("ASKONCE_MEMORY", "2GiB")
    monkeypatch.setenv("ASKONCE_STRICT", "1")
    code, out, err = askonce("config", "check")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "SETTING                     FROM             VALUE",
        "url                         askonce.toml:1   memory://",
        "ttl                         askonce.toml:2   1d",
        "policy                      askonce.toml:2   faq: ttl 1d",
        "semantic                    default          none",
        "tenant                      askonce.toml:3   team-a",
        "memory                      ASKONCE_MEMORY   2GiB",
        "disk                        default          1GB",
        "strict                      ASKONCE_STRICT   true",
        "secrets                     default          none",
        "policies.support            askonce.toml:5   ttl 3d, pin_temperature, jitter 0.1, "
        "stale_if_error 1d",
        "policies.anything           askonce.toml:12  ttl never, sampled, effects",
        "rule 1                      askonce.toml:17  live for system (?i)weather",
        "rule 2                      askonce.toml:21  support for model gpt-4o*, "
        "path */chat/completions, metadata use = faq",
        "rule 3                      askonce.toml:27  anything for model draft-*",
        "rule 4                      askonce.toml:31  reformulation for model ours-*",
        "models.without_temperature  askonce.toml:36  ours-reasoner",
        "models.live                 askonce.toml:37  ours-search",
        "models.stands_for           askonce.toml:39  prod-a = gpt-5-mini",
    ]


def test_the_settings_as_json_hold_the_values(askonce, monkeypatch):
    monkeypatch.setenv("ASKONCE_TTL", "90m")
    code, out, err = askonce("config", "check", "--json")
    assert (code, err) == (0, "")
    found = {row["name"]: row for row in json.loads(out)["settings"]}
    assert found["ttl"] == {"name": "ttl", "value": 5400.0, "from": "ASKONCE_TTL"}
    assert found["policy"]["value"]["ttl"] == 5400.0
    assert found["policies.anything"]["value"]["ttl"] is None
    assert found["disk"] == {"name": "disk", "value": 10**9, "from": "default"}
    assert found["rule 2"]["value"] == {
        "policy": "support",
        "model": "gpt-4o*",
        "path": "*/chat/completions",
        "metadata": {"use": "faq"},
        "system": "",
    }
    assert found["models.live"]["value"] == ["ours-search"]


@pytest.mark.parametrize(
    ("ttl", "shown"),
    [("90m", "90m"), ("0.5", "0.5"), ("86400", "1d"), ("7d", "1w"), ("8d", "8d"), ("never",) * 2],
)
def test_a_span_is_told_exactly(askonce, monkeypatch, ttl, shown):
    monkeypatch.setenv("ASKONCE_TTL", ttl)
    line = askonce("config", "check")[1].splitlines()[2]
    assert line.split() == ["ttl", "ASKONCE_TTL", shown]


def test_without_a_file_all_is_default(askonce, tmp_path):
    Path("askonce.toml").unlink()
    code, out, _ = askonce("config", "check")
    assert code == 0
    assert f"default  {tmp_path}/caches/askonce/answers.db" in out
    assert {line.split()[1] for line in out.splitlines()[1:]} == {"default"}
    assert not (tmp_path / "caches").exists()


@pytest.mark.parametrize("words", [(), ("--json",), ("request.json",), ("request.json", "--json")])
def test_no_secret_is_ever_shown(askonce, monkeypatch, words):
    monkeypatch.setenv("ASKONCE_SECRETS", SECRET)
    monkeypatch.setenv("ASKONCE_URL", "redis://user:word@127.0.0.1:1/0?sentinel_password=word")
    request = {"url": "https://u:word@api.openai.com/v1/responses?api_key=word", "body": chat()}
    Path("request.json").write_text(json.dumps(request))
    code, out, err = askonce("config", "check", *words)
    assert (code, err) == (1 if "request.json" in words else 0, "")
    assert "word" not in out
    assert SECRET[:6] not in out
    assert ("hidden" in out) is True


# A request


def test_a_request_that_would_be_cached_is_0_and_its_fate_is_told(askonce):
    Path("request.json").write_text(json.dumps(chat(metadata={"use": "faq"})))
    code, out, err = askonce("config", "check", "request.json")
    assert (code, err) == (0, "")
    first, blank, *lines = out.splitlines()
    assert first == "request.json: POST https://api.openai.com/v1/chat/completions (guessed)"
    assert blank == ""
    told = {line[:13].strip(): line[13:] for line in lines}
    assert len(told.pop("key")) == 40
    assert told == {
        "cached": "yes",
        "dialect": "openai.chat",
        "model": "gpt-4o",
        "policy": "support (rule 2, askonce.toml:21)",
        "ttl": "3d",
        "also": "pin_temperature, jitter 0.1, stale_if_error 1d",
        "temperature": "set to 0, as the request says nothing of it",
    }


def test_a_request_that_would_not_is_1_and_its_reason_is_told(askonce):
    Path("request.json").write_text(json.dumps(chat()))
    code, out, err = askonce("config", "check", "request.json")
    assert (code, err) == (1, "")
    assert out.splitlines()[2:] == [
        "cached       no",
        "reason       sampled: temperature is not set; set temperature=0 to cache this call, "
        "or use a policy with pin_temperature=True",
        "dialect      openai.chat",
        "model        gpt-4o",
        "policy       faq (askonce.toml:2)",
    ]


@pytest.mark.parametrize(
    ("body", "policy", "rule", "said_by", "ttl", "code"),
    [
        (chat(temperature=0), "faq", None, "askonce.toml:2", 86400.0, None),
        (chat(), "faq", None, "askonce.toml:2", None, "sampled"),
        (chat(metadata={"use": "faq"}), "support", 2, "askonce.toml:21", 259200.0, None),
        (chat(metadata={"use": "x"}), "faq", None, "askonce.toml:2", None, "sampled"),
        (system("The WEATHER?"), "live", 1, "askonce.toml:17", None, "live"),
        (system("weather", model="draft-1"), "live", 1, "askonce.toml:17", None, "live"),
        (chat(model="Draft-1", temperature=2), "anything", 3, "askonce.toml:27", None, None),
        (chat(model="ours-search", temperature=0), "reformulation", 4, "askonce.toml:31", None, "live"),
        (chat(model="ours-1", temperature=0), "reformulation", 4, "askonce.toml:31", 3600.0, None),
    ],
)  # fmt: skip
def test_the_policy_is_told_with_the_rule_that_chose_it(
    check, *, body, policy, rule, said_by, ttl, code
):
    exit_code, found = check(body)
    assert (found["policy"], found["rule"], found["from"]) == (policy, rule, said_by)
    assert found["ttl"] == ttl
    assert found["cached"] is (code is None)
    assert (found["bypass"] or {}).get("code") == code
    assert exit_code == (0 if code is None else 1)


def test_without_settings_the_policy_is_the_default(check):
    Path("askonce.toml").unlink()
    code, found = check(chat(temperature=0))
    assert (code, found["policy"], found["from"]) == (0, "default", "default")
    assert found["ttl"] == 7 * 86400.0


def test_a_batch_has_a_key_for_each_input(askonce, check):
    _, found = check({"model": "text-embedding-3-small", "input": ["one", "two"]})
    assert len(set(found["keys"])) == 2
    out = askonce("config", "check", "request.json")[1]
    assert "key          2, one for each input: --json lists them" in out


def test_a_policy_that_asks_for_semantic_lookup_says_that_it_is_exact(askonce, check):
    assert check(chat(model="ours-1", temperature=0))[1]["exact_only"]
    out = askonce("config", "check", "request.json")[1]
    assert "matches      equal requests only" in out


def test_what_two_parsers_could_read_differently_is_a_bypass(check):
    code, found = check('{"model": "gpt-4o", "temperature": 0, "input": "a", "input": "b"}')
    assert (code, found["cached"], found["bypass"]["code"]) == (1, False, "ambiguous")


def test_a_url_that_is_no_endpoint_is_a_bypass(check):
    code, found = check({"url": "https://api.openai.com/v1/files", "body": chat(temperature=0)})
    assert (code, found["dialect"], found["bypass"]["code"]) == (1, None, "endpoint")
    assert check(chat(temperature=0), "--url-path", "/v1/files")[1]["bypass"]["code"] == "endpoint"


REAL = {
    "deterministic": ("/v1/chat/completions", chat(temperature=0)),
    "sampled": ("/v1/chat/completions", chat()),
    "pinned": ("/v1/chat/completions", chat(metadata={"use": "faq"})),
    "sampled though it may be pinned": (
        "/v1/chat/completions",
        chat(metadata={"use": "faq"}, temperature=0.7),
    ),
    "weather": ("/v1/chat/completions", system("The weather", temperature=0)),
    "kept though sampled": ("/v1/chat/completions", chat(model="draft-1", temperature=2)),
    "no temperature": ("/v1/chat/completions", chat(model="ours-reasoner")),
    "semantic": ("/v1/chat/completions", chat(model="ours-1", temperature=0)),
    "live": ("/v1/chat/completions", chat(model="ours-search", temperature=0)),
    "a name that stands for a model": ("/v1/chat/completions", chat(model="prod-a")),
    "responses": ("/v1/responses", {"model": "gpt-4o", "temperature": 0, "input": "Why?"}),
    "state": ("/v1/responses", {"model": "gpt-5", "input": "a", "previous_response_id": "r"}),
    "one input": ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "one"}),
    "messages": (
        "/v1/messages",
        chat(max_tokens=9, temperature=0, model="claude-haiku-4-5"),
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_what_is_foretold_is_what_happens(check, upstream, name):
    path, body = REAL[name]
    url = f"{upstream.url}{path}"
    code, found = check({"url": url, "body": body})
    with (
        Cache.from_settings() as cache,
        httpx.Client(transport=cache.transport(httpx.HTTPTransport())) as client,
    ):
        client.post(url, json=body)
        last = cache.last
        kept = dict(cache.entries())
    assert last is not None
    assert (last.kind == "bypass") is not found["cached"]
    assert code == (1 if last.kind == "bypass" else 0)
    assert [last.key] == found["keys"] or last.kind == "bypass"
    reason = {"code": last.reason.code, "advice": last.reason.advice} if last.reason else None
    assert reason == found["bypass"]
    for fact in ("pinned", "unpinned", "exact_only", "dialect", "model"):
        if last.kind != "bypass":
            assert getattr(last, fact) == found[fact], fact
    if found["cached"]:
        entry = kept[bytes.fromhex(last.key)]
        ttl = None if entry.expires is None else entry.expires - entry.created
        jitter = 0.1 if found["policy"] == "support" else 0.0
        assert (ttl is None) == (found["ttl"] is None)
        if ttl is not None:
            assert found["ttl"] * (1 - jitter) - 1 <= ttl <= found["ttl"] + 1


# Wrong usage


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("config",), "the following arguments are required: COMMAND"),
        (("config", "chek"), "invalid choice: 'chek'"),
        (("config", "check", "none.json"), "none.json cannot be read (No such file"),
        (("config", "check", "askonce.toml"), "askonce.toml is not JSON"),
        (("config", "check", "--config", "none.toml"), "none.toml cannot be read (No such file"),
        (("config", "check", "--config", "wrong.toml"), 'wrong.toml:2: "tll" is not a setting he'),
    ],
)
def test_wrong_usage_is_2_and_says_what_is_wrong(askonce, words, says):
    Path("wrong.toml").write_text('\ntll = "1h"\n')
    code, out, err = askonce(*words)
    assert (code, out) == (2, "")
    assert says in err


def test_the_file_can_be_named(askonce, monkeypatch):
    Path("other.toml").write_text('url = "memory://"\ntenant = "other"')
    assert "other.toml:2  other" in askonce("config", "check", "--config", "other.toml")[1]
    monkeypatch.setenv("ASKONCE_CONFIG", "other.toml")
    assert "other.toml:2  other" in askonce("config", "check")[1]


# The other commands


def filled(name):
    path = Path(f"{name}.db").absolute()
    with Cache(f"sqlite:///{path}") as cache:
        cache.put(f"answer of {name}", model="m")
    return f"sqlite:///{path}"


def test_the_store_of_other_commands_is_that_of_the_settings(askonce, monkeypatch):
    Path("askonce.toml").write_text(f'url = "{filled("file")}"')
    other = filled("other")
    assert "answer of file" in askonce("ls")[1]
    assert "(from askonce.toml:1)" in askonce("doctor")[1]
    assert "answer of other" in askonce("ls", "--url", other)[1]
    monkeypatch.setenv("ASKONCE_URL", other)
    assert "answer of other" in askonce("ls")[1]
    assert "(from ASKONCE_URL)" in askonce("doctor")[1]


def test_a_wrong_file_stops_a_command_unless_its_store_is_named(askonce):
    Path("askonce.toml").write_text("tll = 1")
    url = filled("other")
    for name in ("stats", "ls", "doctor"):
        code, _, err = askonce(name)
        assert code == 2
        assert 'askonce.toml:1: "tll" is not a setting here: did you mean "ttl"?' in err
        assert askonce(name, "--url", url)[0] == 0


def test_secrets_that_are_wrong_do_not_keep_commands_from_looking(askonce, monkeypatch):
    Path("askonce.toml").write_text(f'url = "{filled("file")}"')
    monkeypatch.setenv("ASKONCE_SECRETS", "short")
    assert "answer of file" in askonce("ls")[1]
    assert askonce("config", "check")[0] == 2
