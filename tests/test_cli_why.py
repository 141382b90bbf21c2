"""`askonce why`: which fields make two requests differ."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from anthropic import Anthropic
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI
from pydantic import BaseModel

from askonce import Cache
from askonce.cli import main
from askonce.commands import request_files
from askonce.commands.differences import differences

URL = "https://api.openai.com/v1/chat/completions"
CHAT = {
    "model": "gpt-4o",
    "temperature": 0,
    "messages": [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Polish this."},
    ],
}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("search", "send")
]


@pytest.fixture
def why(capsys, monkeypatch, tmp_path):
    """Compare two requests, each a value or the text of a file: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def command(left, right, *words):
        for name, held in (("a.json", left), ("b.json", right)):
            if held is not None:
                raw = held if isinstance(held, bytes) else json.dumps(held).encode()
                Path(name).write_bytes(raw)
        code = main(["why", "a.json", "b.json", *words])
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def told(why):
    """Compare two requests as JSON: exit code, and what was said."""

    def command(left, right, *words):
        code, out, err = why(left, right, "--json", *words)
        assert err == ""
        return code, json.loads(out)

    return command


def chat(**more):
    return {**CHAT, **more}


def said(text, **more):
    return chat(messages=[{"role": "user", "content": text}], **more)


def image(url):
    return said([{"type": "image_url", "image_url": {"url": url}}])


def sent(headers=None, url=URL, **more):
    return {"url": url, "headers": headers or {}, "body": chat(**more)}


def schema(model):
    return {
        "type": "json_schema",
        "json_schema": {"name": "T", "schema": model.model_json_schema()},
    }


class Narrow(BaseModel):
    name: str


class Wide(BaseModel):
    name: str
    born: int


UNLIKE = {
    # fields of one engine, as extra_body sends them
    "guided_json": (chat(guided_json={"type": "object"}), chat(), "body.guided_json"),
    "num_ctx": (chat(options={"num_ctx": 1}), chat(options={"num_ctx": 2}), "body.options.num_ctx"),
    "safety_settings": (
        chat(safety_settings=[{"threshold": "LOW"}]),
        chat(safety_settings=[{"threshold": "HIGH"}]),
        "body.safety_settings[0].threshold",
    ),
    "a field nobody knows": (chat(zeta=None), chat(), "body.zeta"),
    # fields of the API
    "temperature": (chat(), chat(temperature=0.5), "body.temperature"),
    "n": (chat(n=1), chat(n=2), "body.n"),
    "seed": (chat(seed=1), chat(seed=2), "body.seed"),
    "logit_bias": (chat(logit_bias={"5": 1}), chat(logit_bias={"5": 2}), "body.logit_bias.5"),
    "presence_penalty": (chat(presence_penalty=1), chat(), "body.presence_penalty"),
    "frequency_penalty": (chat(frequency_penalty=1), chat(), "body.frequency_penalty"),
    "max_tokens": (chat(max_tokens=9), chat(max_tokens=10), "body.max_tokens"),
    "max_completion_tokens": (chat(max_completion_tokens=9), chat(), "body.max_completion_tokens"),
    "logprobs": (chat(logprobs=True), chat(logprobs=False), "body.logprobs"),
    "parallel_tool_calls": (chat(parallel_tool_calls=False), chat(), "body.parallel_tool_calls"),
    "reasoning_effort": (
        chat(reasoning_effort="low"),
        chat(reasoning_effort="high"),
        "body.reasoning_effort",
    ),
    "model": (chat(), chat(model="gpt-4o-mini"), "body.model"),
    # tools and formats
    "the order of tools": (
        chat(tools=TOOLS),
        chat(tools=TOOLS[::-1]),
        "body.tools[0].function.name",
    ),
    "the schema of a tool": (
        chat(tools=TOOLS),
        chat(tools=[{"type": "function", "function": {**TOOLS[0]["function"], "strict": True}}]),
        "body.tools[0].function.strict",
    ),
    "two classes of one name": (
        chat(response_format=schema(Narrow)),
        chat(response_format=schema(Wide)),
        "body.response_format.json_schema.schema.properties.born",
    ),
    # messages
    "the bytes of an image": (
        image("data:image/png;base64,AAAA"),
        image("data:image/png;base64,AAAB"),
        "body.messages[0].content[0].image_url.url",
    ),
    "the address of an image": (
        image("https://example.org/1.png"),
        image("https://example.org/2.png"),
        "body.messages[0].content[0].image_url.url",
    ),
    "a role": (
        said("x"),
        chat(messages=[{"role": "developer", "content": "x"}]),
        "body.messages[0].role",
    ),
    "a name": (
        said("x"),
        chat(messages=[{"role": "user", "content": "x", "name": "ada"}]),
        "body.messages[0].name",
    ),
    "the system prompt": (
        chat(),
        chat(messages=[{"role": "system", "content": "Be long."}, CHAT["messages"][1]]),
        "body.messages[0].content",
    ),
    "the history": (
        chat(),
        chat(messages=[*CHAT["messages"], {"role": "assistant", "content": "Done."}]),
        "body.messages[2]",
    ),
    "a capital": (said("Polish"), said("polish"), "body.messages[0].content"),
    "a blank at the end": (said("Polish"), said("Polish "), "body.messages[0].content"),
    "a letter in two forms": (said("\u00e9"), said("e\u0301"), "body.messages[0].content"),
    "a text and a number": (chat(seed="1"), chat(seed=1), "body.seed"),
    "true and one": (chat(seed=True), chat(seed=1), "body.seed"),
    # where it goes, and how
    "the host": (sent(), sent(url="https://other.example/v1/chat/completions"), "url"),
    "the port": (
        sent(url="http://h:1/v1/chat/completions"),
        sent(url="http://h:2/v1/chat/completions"),
        "url",
    ),
    "the scheme": (sent(url=URL), sent(url=URL.replace("https", "http")), "url"),
    "the endpoint": (sent(), sent(url=URL.replace("chat/", "")), "url"),
    "the API's version": (
        sent(url=f"{URL}?api-version=1"),
        sent(url=f"{URL}?api-version=2"),
        "url",
    ),
    "a beta": (
        sent({"anthropic-beta": "a"}),
        sent({"anthropic-beta": "b"}),
        "headers.anthropic-beta",
    ),
    "the organization": (sent({"OpenAI-Organization": "a"}), sent(), "headers.openai-organization"),
    "a header nobody knows": (sent({"X-Mode": "a"}), sent(), "headers.x-mode"),
    "the charset": (
        sent({"Content-Type": "application/json; charset=latin-1"}),
        sent(),
        "headers.content-type",
    ),
    "the order of one header": (
        sent([["x-mode", "a"], ["x-mode", "b"]]),
        sent([["x-mode", "b"], ["x-mode", "a"]]),
        "headers.x-mode",
    ),
    "the method": ({**sent(), "method": "PUT"}, sent(), "method"),
}

ALIKE = {
    "the order of names": (chat(), dict(reversed(CHAT.items())), "body (order)"),
    "the order of names further down": (
        said("x"),
        chat(messages=[{"content": "x", "role": "user"}]),
        "body.messages[0] (order)",
    ),
    "0 and 0.0": (chat(temperature=0), chat(temperature=0.0), "body.temperature"),
    "1e2 and 100": (chat(seed=100), json.dumps(chat(seed=0)).replace('"seed": 0', '"seed": 1e2').encode(), "body.seed"),
    **{
        name: (chat(**{name: value}), chat(), f"body.{name}")
        for name, value in {
            "stream": True,
            "stream_options": {"include_usage": True},
            "user": "ada",
            "metadata": {"run": "1"},
            "safety_identifier": "ada",
            "prompt_cache_key": "k",
            "service_tier": "flex",
            "store": True,
        }.items()
    },
    **{
        f"the header {name}": (sent({name: "one"}), sent({name: "two"}), f"headers.{name.lower()}")
        for name in (
            "Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Cookie", "User-Agent",
            "X-Stainless-Lang", "Traceparent", "Idempotency-Key", "Content-Length",
        )
    },
    "the content type of JSON": (
        sent({"Content-Type": "application/json"}),
        sent({}),
        "headers.content-type",
    ),
    "a credential in the query": (sent(url=f"{URL}?key=one"), sent(url=f"{URL}?key=two"), "url"),
    "the order of parameters": (sent(url=f"{URL}?a=1&b=2"), sent(url=f"{URL}?b=2&a=1"), "url"),
    "a port that is the usual one": (sent(), sent(url=URL.replace(".com", ".com:443")), "url"),
}  # fmt: skip


@pytest.mark.parametrize(("left", "right", "field"), UNLIKE.values(), ids=UNLIKE.keys())
def test_what_changes_an_answer_counts_and_makes_another_key(told, left, right, field):
    code, found = told(left, right)
    assert code == 1
    assert found["equal"] is False
    assert found["a"]["keys"] != found["b"]["keys"]
    assert len(found["a"]["keys"]) == len(found["b"]["keys"]) == 1
    assert field in [one["path"] for one in found["differences"] if one["counts"]]


@pytest.mark.parametrize(("left", "right", "field"), ALIKE.values(), ids=ALIKE.keys())
def test_what_changes_no_answer_is_shown_as_neutral(told, left, right, field):
    code, found = told(left, right)
    assert code == 0
    assert found["equal"] is True
    assert found["a"]["keys"] == found["b"]["keys"]
    assert [one["path"] for one in found["differences"]] == [field]
    assert not found["differences"][0]["counts"]


@pytest.mark.parametrize(("left", "right", "field"), [*UNLIKE.values(), *ALIKE.values()])
def test_of_two_orders_of_the_files_both_say_the_same(told, left, right, field):
    one, other = told(left, right)[1], told(right, left)[1]
    assert one["equal"] == other["equal"]
    assert [(it["path"], it["counts"], it.get("a"), it.get("b")) for it in one["differences"]] == [
        (it["path"], it["counts"], it.get("b"), it.get("a")) for it in other["differences"]
    ]


def test_one_request_has_no_differences(why, told):
    code, found = told(sent({"x": "1"}), sent({"x": "1"}))
    assert (code, found["differences"]) == (0, [])
    out = why(CHAT, CHAT)[1]
    assert out.endswith("\n\nThe keys are equal.\n")


texts = st.sampled_from(["", "a", "A", "\u00e9", "e\u0301", "0"])
small = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 0.0, -0.0, 1, 1.0, 2**53, 0.5]) | texts,
    lambda below: st.lists(below, max_size=2) | st.dictionaries(texts, below, max_size=2),
    max_leaves=4,
)
requests = st.fixed_dictionaries(
    {
        "url": st.sampled_from(
            [URL, f"{URL}?api-version=1", f"{URL}?key=k", URL.upper().replace("/V1/CHAT/COMPLETIONS", "/v1/chat/completions"), URL.replace("chat/completions", "responses")]
        ),
        "headers": st.lists(
            st.tuples(
                st.sampled_from(["X-Mode", "Authorization", "x-stainless-os", "Content-Type"]),
                st.sampled_from(["a", "b", "application/json", "Application/JSON; charset=utf-8"]),
            ),
            max_size=3,
        ),
        "body": st.dictionaries(
            st.sampled_from(["model", "temperature", "user", "tools", "seed", "messages"]),
            small,
            max_size=3,
        ),
    }
)  # fmt: skip


@settings(max_examples=300)
@given(requests, requests)
def test_keys_are_equal_exactly_when_no_difference_counts(left, right):
    with TemporaryDirectory() as folder:
        asked = []
        for name, request in (("a", left), ("b", right)):
            file = Path(folder) / name
            file.write_text(json.dumps(request), "utf-8")
            asked.append(request_files.read(str(file), None))
    assert all(len(one.keys) == 1 for one in asked)
    counting = [one for one in differences(*asked) if one.counts]
    assert (asked[0].keys == asked[1].keys) is (not counting)


# As a call has it


def recorded(request, url):
    return {
        "url": f"{url}{request.path}?{request.query}" if request.query else f"{url}{request.path}",
        "headers": dict(request.headers),
        "body": request.json,
    }


def test_the_key_is_that_of_the_real_call(told, cache, upstream):
    messages = [{"role": "user", "content": "Why? 漢字"}]
    with (
        cache.wrap(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")) as openai,
        cache.wrap(Anthropic(base_url=upstream.url, api_key="k")) as anthropic,
        cache.recording() as outcomes,
    ):
        openai.chat.completions.create(
            model="gpt-4o", temperature=0.0, messages=messages, extra_body={"num_ctx": 5}
        )
        openai.responses.create(model="gpt-5-mini", input="Hello")
        openai.embeddings.create(model="text-embedding-3-small", input="one")
        anthropic.messages.create(
            model="claude-haiku-4-5",
            max_tokens=100,
            messages=messages,
            extra_body={"temperature": 0},
            extra_headers={"anthropic-beta": "b"},
        )
    assert len(outcomes) == upstream.calls == 4
    for request, outcome in zip(upstream.requests, outcomes, strict=True):
        found = told(recorded(request, upstream.url), CHAT)[1]["a"]
        assert found["keys"] == [outcome.key]
        assert found["dialect"] == outcome.dialect
        assert found["bypass"] is None


def test_a_call_that_would_be_a_bypass_is_told_its_reason(told, why):
    sampled = {"model": "gpt-4o", "messages": []}
    code, found = told(sampled, chat(tools=[{"type": "web_search"}], temperature=0.5))
    assert code == 1
    assert found["a"]["bypass"] == {
        "code": "sampled",
        "advice": "temperature is not set; set temperature=0 to cache this call, "
        "or use a policy with pin_temperature=True",
    }
    assert found["b"]["bypass"] is not None
    out = why(sampled, CHAT)[1]
    assert "A is never answered from the cache: sampled: temperature is not set; set" in out
    assert "B is never" not in out


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"messages":[],"temperature":NaN}', "NaN is not a JSON number"),
        (b'{"messages":[],"seed":1,"seed":2}', "two members of one name"),
        (b'{"messages":[],"seed":123456789012345678901234567890}', "not a JSON value"),
        (b'{"messages":[],"stop":"\\ud800"}', "not a JSON value"),
    ],
)
def test_a_request_that_two_parsers_could_read_differently_has_no_key(why, told, body, says):
    code, found = told(body, body)
    assert code == 1
    assert (found["equal"], found["a"]["keys"]) == (False, [])
    assert found["a"]["bypass"]["code"] == "ambiguous"
    assert says in found["a"]["bypass"]["advice"]
    out = why(body, CHAT)[1]
    assert "There are no two keys to compare.\nA has no key: ambiguous: " in out


def test_an_endpoint_that_is_not_known_has_no_key(why):
    code, out, _ = why(sent(url="https://api.openai.com/v1/images"), CHAT)
    assert code == 1
    assert "A has no key: endpoint: only calls to known endpoints of models are cached" in out


def test_each_input_of_a_batch_has_a_key_of_its_own(why, told):
    def batch(*inputs):
        return {"model": "text-embedding-3-small", "input": list(inputs)}

    code, found = told(batch("a", "b"), batch("a", "c"))
    assert code == 1
    assert len(found["a"]["keys"]) == len(found["b"]["keys"]) == 2
    assert found["a"]["keys"][0] == found["b"]["keys"][0]
    assert [one["path"] for one in found["differences"]] == ["body.input[1]"]
    out = why(batch("a", "b"), batch("a", "c"))[1]
    assert "A  2 keys        a.json: " in out
    assert "Each input has an entry of its own; shared by both: 1." in out
    single = {"model": "text-embedding-3-small", "input": "a"}
    assert told(single, batch("a"))[0] == 0
    assert told(batch("a", "b"), single)[1]["equal"] is False


# What nobody is to see

SECRET = "sk-verysecret"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (sent({name: f"Bearer {SECRET}-1"}), sent({name: f"Bearer {SECRET}-2"}))
        for name in ("Authorization", "x-api-key", "api-key", "X-Goog-Api-Key", "Cookie",
                     "Proxy-Authorization", "Ocp-Apim-Subscription-Key")
    ]
    + [(sent({"Authorization": SECRET}), sent({}))]
    + [
        (sent(url=f"{URL}?{name}={SECRET}-1&v=1"), sent(url=f"{URL}?{name}={SECRET}-2&v=2"))
        for name in ("key", "api_key", "api-key", "access_token")
    ]
    + [(sent(url=URL.replace("://", f"://ada:{SECRET}@")), sent())],
)  # fmt: skip
def test_a_credential_is_never_shown(why, left, right):
    for words in ((), ("--json",)):
        _, out, err = why(left, right, *words)
        assert SECRET not in out + err
        assert "hidden" in out


# How it is shown


def test_as_text_it_is_a_table_and_a_verdict(why):
    code, out, err = why(
        sent({"Authorization": "a"}, seed=1, user="ada"), sent({"Authorization": "b"}, seed=2)
    )
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0].endswith(f"a.json: POST {URL}")
    assert [line.split() for line in lines[3:7]] == [
        ["FIELD", "IN", "A", "IN", "B"],
        ["headers.authorization", '"(hidden)"', '"(hidden)"', "neutral"],
        ["body.seed", "1", "2", "counts"],
        ["body.user", '"ada"', "-", "neutral"],
    ]
    assert lines[-1] == "The keys differ. Differences that count: 1; neutral: 2."
    out = why(chat(user="ada"), chat(user="bob"))[1]
    assert out.endswith("The keys are equal: they differ only in what is neutral (1).\n")


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("changed", ["start", "middle", "end"])
def test_of_long_texts_the_part_that_differs_is_shown(why, monkeypatch, columns, changed):
    monkeypatch.setenv("COLUMNS", str(columns))
    words = {"start": "", "middle": "", "end": "", changed: "ONE"}
    text = "{start}" + "before " * 50 + "{middle}" + "after " * 50 + "{end}"
    left = said(text.format(**words))
    right = said(text.format(**{**words, changed: "TWO"}))
    out = why(left, right)[1]
    row = next(line for line in out.splitlines() if line.startswith("body.messages[0].content "))
    assert "ONE" in row
    assert "TWO" in row
    assert len(row) <= columns


def test_of_long_paths_the_end_is_shown(why):
    out = why(image("https://example.org/1.png"), image("https://example.org/2.png"))[1]
    assert "\n…ges[0].content[0].image_url.url  " in out
    out = why(chat(x={"漢" * 30: 1}), chat(x={"漢" * 30: 2}))[1]
    assert f"\n…{'漢' * 15}  1     2     counts\n" in out


def test_letters_that_only_look_alike_are_told_apart(why):
    out = why(said("\u00e9"), said("e\u0301"))[1]
    assert r"\u00e9" in out
    assert r"e\u0301" in out


def test_hostile_text_cannot_reach_the_terminal(why, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    hostile = "\x1b[31mred\x07\x9b2J\u202e\r\n漢字🎉"
    left = {
        "url": f"https://\x1b.example/v1/chat/completions?{hostile}=1",
        "method": hostile,
        "headers": {hostile: hostile},
        "body": {hostile: hostile, "messages": [hostile * 20]},
    }
    code, out, err = why(left, sent())
    assert code == 1
    assert all(letter.isprintable() for letter in (out + err).replace("\n", ""))
    table = out[out.index("FIELD") : out.index("The keys differ")].splitlines()
    widths = [sum(1 + (unicodedata.east_asian_width(one) in "WF") for one in row) for row in table]
    assert max(widths) <= 80


# Files


@pytest.mark.parametrize(
    ("body", "url"),
    [
        ({"model": "gpt-4o", "messages": []}, URL),
        ({"model": "gpt-5-mini", "input": "x"}, "https://api.openai.com/v1/responses"),
        ({"model": "text-embedding-3-small", "input": "x"}, "https://api.openai.com/v1/embeddings"),
        (
            {"model": "gpt-3.5-turbo-instruct", "prompt": "x"},
            "https://api.openai.com/v1/completions",
        ),
        (
            {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": []},
            "https://api.anthropic.com/v1/messages",
        ),
        (
            {"contents": []},
            "https://generativelanguage.googleapis.com/v1beta/models/unknown:generateContent",
        ),
    ],
)
def test_where_a_body_would_be_sent_is_guessed_and_the_guess_is_told(told, why, body, url):
    found = told(body, body)[1]["a"]
    assert (found["url"], found["guessed"]) == (url, True)
    assert f"a.json: POST {url} (guessed)\n" in why(body, body)[1]


def test_where_a_body_is_sent_can_be_said(told):
    for place, url in (
        ("/v1/responses", "https://api.openai.com/v1/responses"),
        ("v1/responses", "https://api.openai.com/v1/responses"),
        ("http://127.0.0.1:8000/v1/responses", "http://127.0.0.1:8000/v1/responses"),
    ):
        found = told({"x": 1}, sent(), "--url-path", place)[1]
        assert (found["a"]["url"], found["a"]["dialect"]) == (url, "openai.responses")
        assert (found["b"]["url"], found["b"]["guessed"]) == (URL, False)


def test_a_request_is_read_however_its_file_holds_it(told):
    body = json.dumps(CHAT)
    for written in (
        body.encode(),
        b"\xef\xbb\xbf" + body.encode(),
        json.dumps({"body": CHAT}).encode(),
        json.dumps({"body": body}).encode(),
        json.dumps({"url": URL, "headers": None, "body": body, "method": "post"}).encode(),
        json.dumps({"url": URL, "headers": [["Accept", "a"]], "body": CHAT}).encode(),
    ):
        assert told(written, CHAT)[0] == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read (No such file or directory): name a file that holds a request"),
        (b"", "a.json is not JSON (Expecting value"),
        (b"not JSON", "it must hold one request"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1]", "holds no JSON object: it must be the body of a request"),
        (b'"text"', "a.json is not JSON"),
        ({"body": [1]}, "holds no JSON object"),
        ({"body": "not JSON"}, "is not JSON"),
        ({"x": 1}, "does not say where it is sent: use --url-path /v1/chat/completions"),
        ({"body": CHAT, "headers": [1]}, "headers must be an object of names and values"),
        ({"body": CHAT, "headers": 5}, "headers must be an object of names and values"),
        (
            {"body": CHAT, "url": "http://[x/v1"},
            "'http://[x/v1' is not a URL: write one like https",
        ),
        ({"body": CHAT, "url": "http://h:99999/v1/chat/completions"}, "is not a URL"),
        ({"body": CHAT, "url": "http://h:x/v1/chat/completions"}, "is not a URL"),
        ({"body": CHAT, "url": "/v1/chat/completions"}, "is not a URL"),
        ({"body": CHAT, "url": 5}, "5 is not a URL"),
        ({"body": CHAT, "url": ["x"]}, "is not a URL"),
    ],
)
def test_a_file_that_holds_no_request_is_2_and_the_message_says_what_to_write(why, content, says):
    code, out, err = why(content, CHAT)
    assert (code, out) == (2, "")
    assert err.startswith("askonce: a.json")
    assert says in err
    assert err.count("\n") == 1


def test_a_folder_is_no_request(why, tmp_path):
    (tmp_path / "a.json").mkdir()
    code, _, err = why(None, CHAT)
    assert code == 2
    assert "a.json cannot be read (Is a directory)" in err


def test_nesting_that_cannot_be_compared_is_2(why):
    deep = b'{"messages":[],"x":' + b"[" * 900 + b"]" * 900 + b"}"
    code, out, err = why(deep, deep.replace(b"[]", b"[0]"))
    assert "Traceback" not in err
    assert code in (1, 2)


@pytest.mark.parametrize("url", ["sqlite:///a.db", None])
def test_no_store_is_looked_at(told, monkeypatch, tmp_path, url):
    if url:
        monkeypatch.setenv("ASKONCE_URL", url)
    assert told(CHAT, CHAT)[0] == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.json", "b.json"]


def test_a_cache_that_was_asked_twice_agrees_with_why(told, cache: Cache, upstream):
    with cache.wrap(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")) as client:
        client.chat.completions.create(**CHAT, user="ada")
        client.chat.completions.create(**CHAT, user="bob", seed=1)
    left, right = (recorded(request, upstream.url) for request in upstream.requests)
    counting = [one["path"] for one in told(left, right)[1]["differences"] if one["counts"]]
    assert counting == ["body.seed"]
