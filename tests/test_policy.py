"""What names and requests tell of a call: may its answer be kept."""

from __future__ import annotations

import json

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


def test_a_port_that_cannot_be_is_a_bypass():
    request = Request("POST", "http://127.0.0.1:99999/v1/chat/completions", (), b"{}")
    models = Models.shipped()
    assert code(plans.make(request, Options(), models)) in ("sampled", "ambiguous")
    body = json.dumps({"model": "gpt-4o", "temperature": 0, **ASK}).encode()
    request = Request("POST", "http://127.0.0.1:99999/v1/chat/completions", (), body)
    assert code(plans.make(request, Options(), models)) == "ambiguous"


def test_a_host_header_counts_when_it_names_another_host():
    def key(*headers):
        body = json.dumps({"model": "gpt-4o", "temperature": 0, **ASK}).encode()
        url = "http://10.0.0.1:8000/v1/chat/completions"
        return plans.make(Request("POST", url, headers, body), Options(), Models.shipped()).key

    assert key() == key(("host", "10.0.0.1:8000"))
    assert len({key(), key(("host", "prod.internal")), key(("host", "test.internal"))}) == 3
