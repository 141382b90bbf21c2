"""Settings: one file and the environment build what code builds, and say where they are wrong."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tomllib
from base64 import urlsafe_b64encode
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from askonce import Cache, ConfigError, Models, Policy, Rule, settings
from askonce.presets import CREATIVE, FAQ, LIVE, PRESETS, SUMMARY
from askonce.semantic.tiers import Semantic
from askonce.settings import Settings
from askonce.settings.lines import lines

HOUR, DAY = 3600.0, 86400.0
SECRET = urlsafe_b64encode(bytes(range(32))).decode()

FULL = """\
url = "redis://user:word@cache.internal?timeout=20ms"
ttl = "24h"
tenant = "team-a"
memory = "128MB"
disk = 2_000_000
strict = true
policy = "support"

[policies.support]
preset = "faq"
ttl = "72h"
stale_if_error = "1d"
stale_while_revalidate = 60
pin_temperature = true

[policies.drafts]
ttl = "never"
sampled = true
effects = true
semantic = true
jitter = 0.25
stale_if_error = 0

[policies.weather]
preset = "live"

[policies.off]
enabled = false

[semantic]
direct = false
verified = false

[[rules]]
policy = "weather"
system = '(?i)weather\\b'

[[rules]]
policy = "summary"
model = "gpt-4o*"
path = "*/chat/completions"
metadata = {use = "notes", "of.team" = "a"}

[models]
without_temperature = ["My-Reasoner*", "!my-reasoner-chat"]
live = ["my-search"]
usage_on_request = [
    "llm.internal",
]

[models.stands_for]
"My.Deployment" = "gpt-4o"
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder, and an environment that says nothing."""
    monkeypatch.chdir(tmp_path)
    for name in ("ASKONCE_URL", "ASKONCE_SECRETS", "ASKONCE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def said(text, environ=None):
    """Read settings from a text as askonce.toml."""
    Path("askonce.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return settings.read(environ=environ or {})


def complaint(text, environ=None):
    with pytest.raises(ConfigError) as raised:
        said(text, environ)
    return str(raised.value)


# What a file builds


def test_a_file_builds_what_code_builds():
    support = replace(
        FAQ, ttl=72 * HOUR, stale_if_error=DAY, stale_while_revalidate=60.0, pin_temperature=True
    )
    drafts = Policy(ttl=None, sampled=True, effects=True, semantic=True, jitter=0.25, name="drafts")
    rules = (
        Rule(LIVE, system=r"(?i)weather\b"),
        Rule(
            SUMMARY,
            model="gpt-4o*",
            path="*/chat/completions",
            metadata={"use": "notes", "of.team": "a"},
        ),
    )
    models = Models.shipped().extended(
        without_temperature=("my-reasoner*", "!my-reasoner-chat"),
        live=("my-search",),
        usage_on_request=("llm.internal",),
        stands_for={"My.Deployment": "gpt-4o"},
    )
    assert said(FULL) == Settings(
        url="redis://user:word@cache.internal?timeout=20ms",
        ttl=24 * HOUR,
        policy=support,
        rules=rules,
        semantic=Semantic(direct=False, verified=False),
        tenant="team-a",
        models=models,
        memory=128 * 10**6,
        disk=2_000_000,
        strict=True,
        policies={
            "support": support,
            "drafts": drafts,
            "weather": LIVE,
            "off": Policy(enabled=False, name="off"),
        },
    )
    of_file = Cache.from_settings("askonce.toml").session
    of_code = Cache(
        "memory://",
        ttl="24h",
        policy=support,
        rules=rules,
        semantic=Semantic(direct=False, verified=False),
        tenant="team-a",
    ).session
    assert of_file.base == of_code.base


def test_every_setting_says_where_it_was_made():
    found = said(FULL, {"ASKONCE_TTL": "1h"})
    assert found.places == {
        "url": "askonce.toml:1",
        "ttl": "ASKONCE_TTL",
        "tenant": "askonce.toml:3",
        "memory": "askonce.toml:4",
        "disk": "askonce.toml:5",
        "strict": "askonce.toml:6",
        "policy": "askonce.toml:7",
        "policies": "askonce.toml:9",
        "policies.support": "askonce.toml:9",
        "policies.drafts": "askonce.toml:16",
        "policies.weather": "askonce.toml:24",
        "policies.off": "askonce.toml:27",
        "semantic": "askonce.toml:30",
        "rules": "askonce.toml:34",
        "rules[0]": "askonce.toml:34",
        "rules[1]": "askonce.toml:38",
        "models": "askonce.toml:44",
        "models.without_temperature": "askonce.toml:45",
        "models.live": "askonce.toml:46",
        "models.usage_on_request": "askonce.toml:47",
        "models.stands_for": "askonce.toml:51",
    }
    assert found.where("secrets") == "default"


def test_nothing_said_is_what_a_cache_does_by_itself():
    assert settings.read(environ={}) == said("") == Settings()
    assert Cache.from_settings().session.base == Cache().session.base
    shape = inspect.signature(Cache).parameters
    taken = {name: it.default for name, it in shape.items() if name not in ("clock", "url")}
    assert Settings() == said(
        "\n".join(f'{name} = "{taken[name]}"' for name in ("memory", "disk"))
        + f'\ntenant = "{taken["tenant"]}"\nstrict = {str(taken["strict"]).lower()}\n'
    )
    ours = {one.name for one in fields(Settings)} - {"url", "policies", "places"}
    assert ours == set(taken)


def test_every_field_of_a_policy_can_be_set():
    for one in fields(Policy):
        if one.name != "name":
            value = str(not one.default).lower() if "bool" in str(one.type) else "0.5"
            found = said(f"[policies.own]\n{one.name} = {value}\n").policies["own"]
            assert found == replace(
                Policy(name="own"), **{one.name: tomllib.loads(f"it={value}")["it"]}
            )


def test_every_tier_of_semantic_lookup_can_be_set():
    assert said("semantic = false").semantic is None
    assert said("[semantic]\ndirect = false\nverified = false").semantic == Semantic(
        direct=False, verified=False
    )
    assert said('[semantic]\ncalibration = "none"').semantic == Semantic(calibration=None)
    full = "[semantic]\nshadow = true\nmax_error = 0.02\naudits = 0.1\ntimeout = '50ms'\n"
    assert said(f"{full}index = 'memory://'\nlog = 'judged.jsonl'").semantic == Semantic(
        shadow=True,
        max_error=0.02,
        audits=0.1,
        timeout=0.05,
        index="memory://",
        log="judged.jsonl",
    )


def test_every_field_of_models_can_be_set():
    for name in inspect.signature(Models.extended).parameters:
        if name != "self":
            value = '{a = "b"}' if name == "stands_for" else '["b"]'
            assert "b" in str(getattr(said(f"[models]\n{name} = {value}\n").models, name))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_policy_of_ones_own_keeps_its_presets_name_so_that_reasons_keep_their_code(preset):
    """Chains are not kept around an answer that is refused as "live" or "creative"."""
    own = said(f'policy = "own"\n[policies.own]\npreset = "{preset}"\n')
    assert own.policy == PRESETS[preset]


def test_the_ttl_of_the_file_replaces_that_of_its_policy_but_not_those_of_rules():
    base = Cache.from_settings(
        said('url = "memory://"\nttl = 60\npolicy = "faq"\nrules = [{policy = "summary"}]')
    ).session.base
    assert base.policy == replace(FAQ, ttl=60.0)
    assert base.rules is not None
    assert [rule.policy for rule, _ in base.rules._rules] == [SUMMARY]


def test_windows_line_ends_and_byte_order_marks_are_read():
    text = '\ufefftenant = """\r\na\r\n"""\r\nttl = "1h"\r\nmemory = 0\r\n'
    assert complaint(text.encode()).startswith("askonce.toml:5: memory: 0 is not a size")
    assert said(text.replace("memory", "#").encode()).tenant == "a\n"


# Which file, and the environment


def test_the_file_is_that_of_the_path_or_of_the_variable_or_of_the_folder():
    for name in ("given", "variable", "askonce"):
        Path(f"{name}.toml").write_text(f'tenant = "{name}"')
    environ = {"ASKONCE_CONFIG": "variable.toml"}
    assert settings.read("given.toml", environ).tenant == "given"
    assert settings.read(Path("given.toml"), environ).tenant == "given"
    assert settings.read(environ=environ).tenant == "variable"
    assert settings.read(environ={}).tenant == "askonce"
    Path("askonce.toml").unlink()
    assert settings.read(environ={}).tenant == ""


def test_the_environment_is_that_of_the_process(monkeypatch):
    monkeypatch.setenv("ASKONCE_TENANT", "of the process")
    assert settings.read().tenant == "of the process"
    assert Cache.from_settings().session.base.tenant == "of the process"


@pytest.mark.parametrize(
    ("variable", "value", "name", "expected"),
    [
        ("URL", "memory://", "url", "memory://"),
        ("URL", "", "url", ""),
        ("TTL", "2h", "ttl", 2 * HOUR),
        ("TTL", "90", "ttl", 90.0),
        ("TTL", "0.5", "ttl", 0.5),
        ("TTL", "never", "ttl", None),
        ("POLICY", "creative", "policy", CREATIVE),
        ("TENANT", "", "tenant", ""),
        ("TENANT", "42", "tenant", "42"),
        ("MEMORY", "1GiB", "memory", 2**30),
        ("MEMORY", "1000", "memory", 1000),
        ("DISK", "5GB", "disk", 5 * 10**9),
        ("STRICT", "false", "strict", False),
        ("STRICT", "0", "strict", False),
        ("STRICT", "1", "strict", True),
        ("SECRETS", SECRET, "secrets", SECRET),
    ],
)
def test_a_variable_overrides_its_setting_and_no_other(variable, value, name, expected):
    before, after = said(FULL), said(FULL, {f"ASKONCE_{variable}": value, "HOME": "/"})
    assert getattr(after, name) == expected
    assert after == replace(before, **{name: expected})
    assert after.where(name) == f"ASKONCE_{variable}"


def test_a_policy_of_the_file_can_be_named_by_the_environment():
    assert said(FULL, {"ASKONCE_POLICY": "drafts"}).policy == said(FULL).policies["drafts"]


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"TLL": "1h"}, 'ASKONCE_TLL is not a setting: did you mean "ASKONCE_TTL"?'),
        ({"SECRET": SECRET}, 'ASKONCE_SECRET is not a setting: did you mean "ASKONCE_SECRETS"?'),
        ({"TTL": "24x"}, "ASKONCE_TTL: '24x' is not a span of time such as '90s', '24h' or '7d'"),
        ({"TTL": ""}, "ASKONCE_TTL: '' is not a span of time"),
        ({"TTL": "-1"}, "ASKONCE_TTL: -1 is not a span of time"),
        ({"TTL": "nan"}, "ASKONCE_TTL: nan is not a span of time"),
        ({"TTL": "inf"}, "ASKONCE_TTL: inf is not a span of time"),
        ({"POLICY": "fag"}, 'ASKONCE_POLICY: "fag" is not a policy: did you mean "faq"?'),
        ({"STRICT": "yes"}, "ASKONCE_STRICT: it is text: use true or false"),
        ({"MEMORY": "64XB"}, "ASKONCE_MEMORY: '64XB' is not a size"),
        ({"DISK": "1.5"}, 'ASKONCE_DISK: it is a number: use a size such as "64MB"'),
        ({"URL": "sqllite:///a"}, "ASKONCE_URL: 'sqllite:///a' is not the URL of a store: did you"),
        ({"URL": "redis://h?tls=1"}, "ASKONCE_URL: 'tls' is no option of a Redis URL"),
        ({"URL": "redis://u:word@[h"}, "ASKONCE_URL: 'redis://[h' is not the URL of a Redis"),
        ({"SECRETS": ""}, "ASKONCE_SECRETS: secret 1 has 0 bytes"),
        ({"CONFIG": ""}, "ASKONCE_CONFIG is empty: name a settings file"),
        ({"CONFIG": "no.toml"}, "ASKONCE_CONFIG: no.toml cannot be read (No such file or dir"),
    ],
)
def test_a_wrong_variable_is_named(environ, says):
    with pytest.raises(ConfigError) as raised:
        settings.read(environ={f"ASKONCE_{name}": value for name, value in environ.items()})
    assert str(raised.value).startswith(says)


def test_a_file_that_cannot_be_read_is_named():
    for name in ("none.toml", "."):
        with pytest.raises(ConfigError, match=f"^{re.escape(name)} cannot be read"):
            settings.read(name, {})


# Where a file is wrong


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        # names
        ('\n\ntll = "1h"', 3, '"tll" is not a setting here: did you mean "ttl"?'),
        ('TTL = "1h"', 1, '"TTL" is not a setting here: did you mean "ttl"?'),
        ("colour = 1", 1, '"colour" is not a setting here: use one of url, ttl, policy, rules, '),
        ("places = 1", 1, '"places" is not a setting here'),
        ('"a b" = 1', 1, '"a b" is not a setting here'),
        ("[polices.own]", 1, '"polices" is not a setting here: did you mean "policies"?'),
        ("[policies.own]\nttl = 1\n stale_if_eror = 1", 3, 'did you mean "stale_if_error"?'),
        ("[policies]\nown = {\n".replace("{\n", "{") + "prest = 1}", 2, 'did you mean "preset"?'),
        ('[[rules]]\npolicy="faq"\n[[rules]]\npolicy="faq"\nmodels = "*"', 5, 'mean "model"?'),
        ("[models]\nstand_for = {}", 2, 'did you mean "stands_for"?'),
        ("[policies.faq]\nttl = 1", 1, '"faq" is a preset: give your own another name, and say '),
        # what is named
        ('policy = "own"', 1, 'policy: "own" is not a policy: use one of faq, summary, '),
        ('policy = "suport"\n[policies.support]', 1, 'did you mean "support"?'),
        ('[[rules]]\npolicy = "sumary"', 2, 'policy: "sumary" is not a policy: did you mean "sum'),
        (
            '[policies.a]\n[policies.b]\npreset="a"',
            3,
            'preset: "a" is not a preset: use one of faq',
        ),
        ("[[rules]]\nmodel = 'x'", 1, "this rule names no policy"),
        # values
        ("url = 3", 1, "url: it is a number: use text in quotes"),
        ('url = "memory://x"', 1, "url: 'memory://x': memory has no path"),
        ("ttl = true", 1, "ttl: it is true or false: use a span of time such as"),
        ("ttl = 1979-05-27", 1, "ttl: it is a date or a time: use a span of time"),
        ('ttl = "24 hours"', 1, "ttl: '24 hours' is not a span of time"),
        ("ttl = inf", 1, "ttl: inf is not a span of time"),
        ("ttl = nan", 1, "ttl: nan is not a span of time"),
        ("memory = 1.5", 1, "memory: it is a number: use a size"),
        ("memory = true", 1, "memory: it is true or false: use a size"),
        ('disk = "1TB"', 1, "disk: '1TB' is not a size"),
        ("strict = 1", 1, "strict: it is a number: use true or false"),
        ("tenant = []", 1, "tenant: it is a list: use text"),
        ("policies = 1", 1, "policies: it is a number: use a table"),
        ("policies.own = 1", 1, "own: it is a number: use a table"),
        ("[rules]\npolicy = 'faq'", 1, "rules: it is a table: use [[rules]] for each of them"),
        ("rules = [1]", 1, "rules: it is a number: use a table"),
        ("[policies.own]\n\njitter = 2", 3, "jitter is 2: use a part of the ttl"),
        ("[policies.own]\njitter = true", 2, "jitter: it is true or false: use a number"),
        ("[policies.own]\nsampled = 'yes'", 2, "sampled: it is text: use true or false"),
        ("[policies.own]\nstale_if_error = 'never'", 2, "stale_if_error: 'never' is not a span"),
        ("[policies.own]\nstale_if_error = false", 2, "stale_if_error: it is true or false"),
        ("[[rules]]\npolicy = 'faq'\nsystem = '('", 3, "system='(' is not a regular expression"),
        ("[[rules]]\npolicy = 'faq'\nmetadata = 1", 3, "metadata: it is a number: use a table"),
        ("[[rules]]\npolicy = 'faq'\nmetadata.use = 1", 3, "use: it is a number: use text"),
        ("[models]\nlive = 'a'", 2, "live: it is text: use a list of texts"),
        ("[models]\nlive = [\n 'a',\n 3]", 4, "live: it is a number: use text"),
        ("[models.stands_for]\na = 'b'\nc = 3", 3, "c: it is a number: use text"),
        ("models = 1", 1, "models: it is a number: use a table"),
        ("[semantic]\nmax_error = 2", 2, "max_error=2"),
        ("[semantic]\ndirect = true\nverified = false", 2, "direct hits need verified=True"),
        ("[semantic]\ndirect = 0", 2, "direct: it is a number: use true or false"),
        # TOML
        ("ttl = ", 1, "this is not TOML: Invalid value"),
        ("ttl = 1\nttl = 2", 2, "this is not TOML: "),
        ("\n[models\nlive = []", 2, "this is not TOML: "),
        ("live = [\n 1,\n\n", 2, "this is not TOML: "),
        ('\ntenant = "a', 2, "this is not TOML: "),
        ("memory = " + "9" * 5000, 1, "this is not TOML: Exceeds the limit"),
        (b"\ntenant = '\xe9'", 2, "this is not UTF-8"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(text, line, says):
    told = complaint(text)
    assert told.startswith(f"askonce.toml:{line}: ")
    assert says in told


def test_nesting_without_end_is_no_crash():
    deep = "tenant = " + "[" * 5000 + "]" * 5000
    assert complaint(deep).startswith("askonce.toml is nested too deep")


def test_a_wrong_value_of_the_file_is_told_though_a_variable_overrides_it():
    assert complaint("ttl = true", {"ASKONCE_TTL": "1h"}).startswith("askonce.toml:1: ttl: ")


def test_the_file_is_named_as_it_was_given(here):
    path = here / "folder" / "ours.toml"
    path.parent.mkdir()
    path.write_text("\ntll = 1")
    for given_as in (path, "folder/ours.toml"):
        with pytest.raises(ConfigError, match=rf'^{re.escape(str(given_as))}:2: "tll" is not a'):
            Cache.from_settings(given_as)


NAMES = {
    "": tuple(one.name for one in fields(Settings) if one.name not in ("secrets", "places")),
    "[policies.own]": ("preset", *(one.name for one in fields(Policy) if one.name != "name")),
    # A judge and an embedder are objects, which no file can hold.
    "[semantic]": tuple(
        one.name for one in fields(Semantic) if one.name not in ("judge", "embedder")
    ),
    "[[rules]]": tuple(one.name for one in fields(Rule)),
    "[models]": tuple(set(inspect.signature(Models.extended).parameters) - {"self"}),
}


@pytest.mark.parametrize(
    ("table", "name"), [(table, name) for table, names in NAMES.items() for name in names]
)
@pytest.mark.parametrize(
    "misspelt",
    [lambda name: name[:-1], lambda name: f"{name}x", lambda name: name[:-2] + name[-1] + name[-2]],
    ids=["shorter", "longer", "swapped"],
)
def test_the_nearest_name_is_the_one_that_was_meant(table, name, misspelt):
    wrong = misspelt(name)
    told = complaint(f"{table}\n{wrong} = 1\n")
    assert told == f'askonce.toml:2: "{wrong}" is not a setting here: did you mean "{name}"?'


# Secrets


@pytest.mark.parametrize(
    "text", [f'\nsecrets = "{SECRET}"', f'\n[secrets]\nteam = "{SECRET}"', "\nsecrets = []"]
)
def test_secrets_are_not_for_files(text):
    assert complaint(text) == "askonce.toml:2: secrets are not for files: set ASKONCE_SECRETS"


def test_secrets_are_never_shown():
    found = said("", {"ASKONCE_SECRETS": SECRET})
    assert SECRET not in repr(found)
    with pytest.raises(ConfigError) as raised:
        settings.read(environ={"ASKONCE_SECRETS": SECRET[:-5]})
    assert SECRET[:8] not in str(raised.value)
    with pytest.raises(ConfigError) as raised:
        said('url = "redsi://user:word@host"')
    assert "word" not in str(raised.value)


def test_a_cache_from_settings_seals_with_their_secrets(here, monkeypatch):
    monkeypatch.setenv("ASKONCE_SECRETS", SECRET)
    with Cache.from_settings(said(f'url = "sqlite:///{here}/answers.db"')) as cache:
        cache.put("answer", model="m")
    with Cache.from_settings() as cache:
        assert cache.get(model="m") == "answer"
    assert any(b"sealed" in file.read_bytes() for file in here.glob("answers.db*"))
    assert not any(b'"answer"' in file.read_bytes() for file in here.glob("answers.db*"))


# A cache at work


def test_a_cache_from_settings_keeps_answers_for_their_ttl():
    now = 1000.0
    cache = Cache.from_settings(
        said('url = "memory://"\nttl = "1h"\n', {"ASKONCE_TENANT": "a"}), clock=lambda: now
    )
    cache.put("answer", model="m")
    assert [entry.expires for _, entry in cache.entries()] == [1000.0 + HOUR]
    assert cache.get(model="m") == "answer"
    with cache.using(tenant="b"):
        assert cache.get(model="m") is None
    now += HOUR
    assert cache.get(model="m") is None


def test_a_policy_that_caches_nothing_is_obeyed():
    cache = Cache.from_settings(said('url = "memory://"\npolicy = "creative"'))
    cache.put("answer", model="m")
    assert cache.get(model="m") is None


# The document


def test_the_file_of_the_document_is_read_and_shows_every_setting():
    document = Path(__file__).parent.parent.joinpath("docs", "settings.md").read_text("utf-8")
    (text,) = re.findall(r"```toml\n(.*?)```", document, re.DOTALL)
    shown = said(text)
    assert set(NAMES[""]) <= set(shown.places)
    assert {f"models.{name}" for name in NAMES["[models]"]} <= set(shown.places)
    assert all(f"`{name}`" in document for name in NAMES["[policies.own]"] if name != "preset")
    table = tomllib.loads(text)
    assert set(table["semantic"]) == set(NAMES["[semantic]"])
    assert {name for rule in table["rules"] for name in rule} == set(NAMES["[[rules]]"])
    variables = set(re.findall(r"ASKONCE_[A-Z]+", document))
    assert variables == set(settings._VARIABLES)
    assert f"support (rule 2, {shown.where('rules[1]')})" in document


def test_the_documents_messages_are_those_that_people_see():
    document = Path(__file__).parent.parent.joinpath("docs", "settings.md").read_text("utf-8")
    for told in (
        complaint('\n\ntennant = "a"'),
        complaint(f"[policies.support]\n{chr(10) * 12}[[rules]]\npolicy = 'suport'"),
        complaint("", {"ASKONCE_TTL": "24x"}),
    ):
        assert f"\n{told}\n" in document


def test_importing_askonce_brings_neither_settings_nor_a_reader_of_toml():
    program = "import sys, askonce; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "askonce.cache" in done.stdout.split()
    assert not {"askonce.settings", "tomllib"} & set(done.stdout.split())


# Lines


@pytest.mark.parametrize(
    ("text", "place", "line"),
    [
        ("\n# a = 1\na = 1", ("a",), 3),
        ("a.b . c = 1\na.d = 2", ("a", "b", "c"), 1),
        ("a.b . c = 1\na.d = 2", ("a", "d"), 2),
        ("a.b . c = 1\na.d = 2", ("a",), 1),
        ("[a.b]\nc = 1\n[a]\nd = 1", ("a",), 1),
        ("[a.b]\nc = 1\n[a]\nd = 1", ("a", "d"), 4),
        ("[[a]]\n[[a]]\n[a.b]\nc = 1", ("a", 1, "b", "c"), 4),
        ("[[a]]\n[[a.b]]\n[[a]]\n[[a.b]]\n[[a.b]]\nc = 1", ("a", 1, "b", 1, "c"), 6),
        ('a = """\nb = 1\n[c]\n"""\nb = 1', ("b",), 5),
        ("a = '''\n'' b = 1'''''\nb = 1", ("b",), 3),
        ('a = """\\""""\nb = 1', ("b",), 2),
        ("a = [\n 1, # 2,\n [3,\n 4\n ],\n]\n", ("a", 1, 1), 4),
        ("a = { b = [ 1,\n { c = 2 } ] }", ("a", "b", 1, "c"), 2),
        ("'a.b'.\"c\\u0064\" = 1", ("a.b", "cd"), 1),
        ("1.2 = 3.4\n5 = 1979-05-27 07:32:00.5", ("5",), 2),
    ],
)
def test_a_key_stands_where_it_is_written(text, place, line):
    assert lines(text)[place] == line


SCALARS = (
    '"""x""""', "'''x''''",
    "1", "-1.5e3", "inf", "true", "0x1F", "1979-05-27", "1979-05-27 07:32:00.5", "07:32:00",
    '""', "''", '""""""', "''''''", '"a # ] } = , \\" b"', "'c:\\ [x]'", '"""x"""""',
    '"""\n\nfake = 1\n[fake] # not\n"""', "'''\n[[fake]]\n'' x = 1'''''", '"""\\"""\n """',
    '"""a\\\n   b"""', "'''\\'''",
)  # fmt: skip

COMMENT = st.sampled_from(["", "  ", "# fake = [", "\t# [fake]", "# '''", '# """'])


class Author:
    """Writes a TOML document, and notes on which line each key comes to stand."""

    def __init__(self, draw):
        self.draw = draw
        self.text = ""
        self.places = {}
        self.count = 0

    def document(self):
        self.table((), (), 2)

    def note(self, place):
        self.places.setdefault(place, 1 + self.text.count("\n"))

    def chance(self):
        return self.draw(st.booleans())

    def some(self, most=3):
        return range(self.draw(st.integers(0, most)))

    def end(self):
        self.text += f" {self.draw(COMMENT)}\n"
        for _ in self.some(2):
            self.text += f"{self.draw(COMMENT)}\n"

    def name(self):
        """Make a name that no other key has: what it is, and how it is written."""
        self.count += 1
        mark = f"k{self.count}k"
        odd = self.draw(st.sampled_from(["", "", "1-_", "a.b", "#", "[x]", '"', "é", "= "]))
        name = f"{odd}{mark}"
        forms = [f'"{name}"' if '"' not in name else f"'{name}'"]
        if odd in ("", "1-_"):
            forms += [name, f"'{name}'", f'"\\u006b{name[1:]}"' if not odd else name]
        return name, self.draw(st.sampled_from(forms))

    def member(self, place, depth):
        gap = self.draw(st.sampled_from(["", " ", "\t"]))
        dotted = [self.name() for _ in range(1 + self.draw(st.integers(0, 1)))]
        for name, _ in dotted:
            place = (*place, name)
            self.note(place)
        self.text += f"{gap}.{gap}".join(form for _, form in dotted)
        self.text += f"{gap}={gap}"
        self.value(place, depth)

    def value(self, place, depth):
        kind = self.draw(st.sampled_from(["scalar", "array", "inline"] if depth else ["scalar"]))
        if kind == "scalar":
            self.text += self.draw(st.sampled_from(SCALARS))
        elif kind == "inline":
            self.text += "{ "
            for number in self.some(2):
                self.text += " , " if number else ""
                self.member(place, depth - 1)
            self.text += " }"
        else:
            self.text += "["
            for number in self.some():
                self.text += "," if number else ""
                if self.chance():
                    self.end()
                self.note((*place, number))
                self.value((*place, number), depth - 1)
            if self.places.get((*place, 0)) and self.chance():
                self.text += ","
            if self.chance():
                self.end()
            self.text += "]"

    def table(self, place, header, depth):
        for _ in self.some():
            self.text += self.draw(st.sampled_from(["", "  "]))
            self.member(place, 2)
            self.end()
        for _ in self.some(2 if depth else 0):
            name, form = self.name()
            below = (*header, form)
            if self.chance():
                for number in range(1 + self.draw(st.integers(0, 2))):
                    self.head((*place, name), f"[[{' . '.join(below)}]]", number)
                    self.table((*place, name, number), below, depth - 1)
            else:
                self.head((*place, name), f"[{'.'.join(below)}]", None)
                self.table((*place, name), below, depth - 1)

    def head(self, place, written, number):
        self.note(place)
        if number is not None:
            self.note((*place, number))
        self.text += written
        self.end()


@st.composite
def documents(draw):
    author = Author(draw)
    author.document()
    return author


def places(value, place=()):
    """All places of a value as tomllib reads it."""
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in members:
        yield (*place, name)
        if isinstance(inner, dict | list):
            yield from places(inner, (*place, name))


@hypothesis_settings(max_examples=300, deadline=None)
@given(documents())
def test_every_key_of_any_document_stands_on_the_line_that_is_told(author):
    found = lines(author.text)
    assert set(found) == set(places(tomllib.loads(author.text)))
    assert found == author.places
    written = author.text.split("\n")
    for place, line in found.items():
        if isinstance(place[-1], str):
            mark = place[-1].lstrip('1-_ab.#[x]"é= ').removeprefix("k")
            assert mark in written[line - 1]


@hypothesis_settings(max_examples=300, deadline=None)
@given(
    st.integers(0, len(FULL)),
    st.integers(0, 12),
    st.sampled_from(["", "x", "\n", '"', "'", "[", "]", "{", "}", "=", ".", "#", "1", "true", "é"]),
)
def test_a_file_with_any_small_mistake_is_read_or_its_line_is_told(tmp_path_factory, at, cut, put):
    text = FULL[:at] + put + FULL[at + cut :]
    path = tmp_path_factory.getbasetemp() / "mistaken.toml"
    path.write_text(text, "utf-8")
    try:
        settings.read(path, {})
    except ConfigError as error:
        told = re.match(rf"{re.escape(str(path))}:(\d+): ", str(error))
        assert told is not None
        assert 1 <= int(told[1]) <= 1 + text.count("\n")
