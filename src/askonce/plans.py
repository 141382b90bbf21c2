"""Read a request once and for all: what it is, whether it may be cached, and its key. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, parse_qsl, urlsplit

from askonce import dialects, keys
from askonce.dialects.contract import Dialect, Facts, Json
from askonce.dialects.wire import too_deep
from askonce.errors import Ambiguous
from askonce.model import Reason, Request
from askonce.policy import ASKED, Models, Options, refuse, unpinned

LARGEST_BODY = 32 * 2**20
"""Bytes of a request body that are still read for a key; the providers refuse larger ones."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One cacheable call: its key, its dialect, and how it is to be treated."""

    key: bytes
    dialect: Dialect
    facts: Facts
    options: Options
    unpinned: bool = False
    body: Json = field(default_factory=dict)
    """The request's body; a part's own."""
    parts: tuple[Plan, ...] = ()
    """The plans of a batch's inputs, when there are several."""


def make(request: Request, options: Options, models: Models) -> Plan | Reason:
    """Plan a call, or say why it is not for the cache."""
    if options.bypass:
        return ASKED
    try:
        url = urlsplit(request.url)
        dialect = dialects.find(url.path)
        if request.method != "POST" or dialect is None:
            return Reason("endpoint", "only calls to known endpoints of models are cached")
        if not dialect.form_is_read(url.path, url.query):
            return Reason("form", "the answer is asked for in a form that is not cached")
        if len(request.body) > LARGEST_BODY:
            return Reason("too_large", f"the body has more than {LARGEST_BODY} bytes")
        body = keys.parse(request.body)
        if not isinstance(body, dict):
            return Reason("ambiguous", "the body is not a JSON object")
        # Hosts differ in what they take for true; the answer would be a stream here, whole there.
        if "stream" in dialect.neutral and not isinstance(body.get("stream"), bool | None):
            return Reason("ambiguous", "stream is neither true nor false")
        facts = dialect.facts(url.path, body)
        if facts.stream and not facts.usage_asked and not _sends_usage_on_request(url, models):
            facts = replace(facts, usage_on_request=False)
        return refuse(facts, options.policy, models) or _keyed(
            request, Plan(b"", dialect, facts, options, unpinned(facts, models), body), models
        )
    except ValueError as doubt:  # Ambiguous, or a URL that cannot be
        return Reason("ambiguous", str(doubt))


def _sends_usage_on_request(url: SplitResult, models: Models) -> bool:
    if not models.sends_usage_on_request(url.hostname or ""):
        return False
    # Azure's dated versions before this one refuse to be asked:
    # https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
    version = dict(parse_qsl(url.query)).get("api-version", "")
    return not version[:1].isdigit() or version[:10] >= "2024-10-21"


def _keyed(request: Request, plan: Plan, models: Models) -> Plan:
    dialect, options = plan.dialect, plan.options
    stands_for = models.stands_for.get(plan.facts.model, "")
    batching = dialect.batching
    parts = []
    bodies = [plan.body] if batching is None else batching.parts(plan.body)
    # A batch is written again, for the parts that are missing.
    if len(bodies) > 1 and too_deep(bodies[0]):
        raise Ambiguous("the body is nested too deep to be written again")
    for body in bodies:
        document = keys.document(request, dialect, body, tenant=options.tenant, model=stands_for)
        parts.append(replace(plan, key=keys.digest(document), body=body))
    return parts[0] if len(parts) == 1 else replace(plan, parts=tuple(parts))
