"""What names and requests tell of a call: may its answer be kept."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest

from askonce import plans
from askonce.model import Reason, Request
from askonce.policy import Models, Options

ASK = {"messages": [{"role": "user", "content": "Why?"}]}


def planned(path="/v1/chat/completions", models=None, **body):
    url = f"https://api.openai.com{path}"
    request = Request("POST", url, (), json.dumps(body).encode())
    return plans.make(request, Options(), models or Models.shipped())


def code(plan):
    if isinstance(plan, Reason):
        return plan.code
    return "unpinned" if plan.unpinned else "kept"


@pytest.mark.parametrize(
    ("model", "more", "expected"),
    [
        ("gpt-4o", {"temperature": 0}, "kept"),
        ("gpt-4o", {}, "sampled"),
        ("openai/gpt-4o:online", {"temperature": 0}, "live"),
        ("gpt-5-chat", {}, "sampled"),
        ("gpt-5-mini", {}, "unpinned"),
        ("gpt-5.1", {}, "sampled"),
        ("gpt-5.1", {"reasoning_effort": "none"}, "sampled"),
        ("gpt-5.1", {"reasoning_effort": "none", "temperature": 0}, "kept"),
        ("gpt-5.1", {"reasoning_effort": "high"}, "unpinned"),
        ("gpt-6", {"reasoning_effort": "low"}, "unpinned"),
        ("o3", {"temperature": 1}, "unpinned"),
        ("gpt-4o", {"temperature": 1}, "sampled"),
        ("openai/o3:floor", {}, "unpinned"),
        ("ft:o4-mini-2025-04-16:team::id", {}, "unpinned"),
        ("anthropic/claude-opus-4.7", {}, "unpinned"),
    ],
)
def test_a_models_name_tells_whether_it_has_the_knob(model, more, expected):
    assert code(planned(model=model, **ASK, **more)) == expected


def test_on_azure_the_deployment_tells_the_model():
    models = Models.shipped().extended(stands_for={"prod-a": "gpt-4o"})
    path = "/openai/deployments/prod-a/chat/completions"
    assert code(planned(path, models, model="gpt-5-mini", **ASK)) == "sampled"


@pytest.mark.parametrize(
    "item",
    [
        {"type": "additional_tools", "role": "developer", "tools": [{"type": "web_search"}]},
        {"type": "tool_search_output", "tools": [{"type": "mcp", "server_label": "x"}]},
    ],
)
def test_tools_that_come_with_the_input_are_an_effect(item):
    plan = planned("/v1/responses", model="gpt-4o", temperature=0, input=[item])
    assert code(plan) == "server_tool"


@pytest.mark.parametrize("place", ["127.0.0.1:99999", "127.0.0.1:x", "[::1", "[name]"])
def test_a_place_that_cannot_be_is_a_bypass(place):
    body = json.dumps({"model": "gpt-4o", "temperature": 0, **ASK}).encode()
    request = Request("POST", f"http://{place}/v1/chat/completions", (), body)
    assert code(plans.make(request, Options(), Models.shipped())) == "ambiguous"


@pytest.mark.parametrize(
    ("url", "more", "on_request"),
    [
        ("https://api.openai.com/v1", {}, True),
        ("https://eu.api.openai.com/v1", {}, True),
        ("https://openrouter.ai/api/v1", {}, False),
        ("https://me.openai.azure.com/openai/v1", {"api-version": "preview"}, True),
        ("https://me.openai.azure.com/openai/deployments/d", {"api-version": "2024-10-21"}, True),
        ("https://me.openai.azure.com/openai/deployments/d", {"api-version": "2023-05-15"}, False),
    ],
)
def test_the_host_tells_whether_usage_is_sent_on_request(url, more, on_request):
    body = json.dumps({"model": "gpt-4o", "temperature": 0, "stream": True, **ASK}).encode()
    request = Request("POST", f"{url}/chat/completions?{urlencode(more)}", (), body)
    plan = plans.make(request, Options(), Models.shipped())
    assert not isinstance(plan, Reason)
    assert plan.facts.usage_on_request is on_request


def test_a_host_header_counts_when_it_names_another_host():
    def key(*headers):
        body = json.dumps({"model": "gpt-4o", "temperature": 0, **ASK}).encode()
        url = "http://10.0.0.1:8000/v1/chat/completions"
        return plans.make(Request("POST", url, headers, body), Options(), Models.shipped()).key

    assert key() == key(("host", "10.0.0.1:8000"))
    assert len({key(), key(("host", "prod.internal")), key(("host", "test.internal"))}) == 3
