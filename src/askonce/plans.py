"""Read a request once and for all: what it is, whether it may be cached, and its key. Pure."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import SplitResult, parse_qsl, urlsplit

from msgspec import Struct, structs

from askonce import dialects, keys
from askonce.dialects.contract import Dialect, Facts, Json
from askonce.dialects.wire import record, too_deep
from askonce.errors import Ambiguous
from askonce.model import Reason, Request
from askonce.policy import ASKED, Models, Options, pinnable, refuse, unpinned
from askonce.rules import Asked
from askonce.samples import slotted

LARGEST_BODY = 32 * 2**20
"""Bytes of a request body that are still read for a key; the providers refuse larger ones."""


class Plan(Struct, frozen=True, gc=False):
    """One cacheable call: its key, its dialect, and how it is to be treated."""

    key: bytes
    dialect: Dialect
    facts: Facts
    options: Options
    unpinned: bool = False
    pinned: bool = False
    """The body asks for temperature 0 where the caller's request said nothing of it."""
    body: Json = {}
    """The request's body; a part's own."""
    slot: int = 0
    request: Request | None = None
    """Kept where the question may be asked in other words."""
    parts: tuple[Plan, ...] = ()
    """The plans of a batch's inputs, when there are several."""

    def in_slot(self, slot: int) -> Plan:
        """Return the same call with a sample slot of its own."""
        return structs.replace(self, key=slotted(self.key, slot), slot=slot)


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
        if facts.stream and dialect.usage_on_request and not _sends_usage_on_request(url, models):
            facts = structs.replace(facts, usage_on_request=False)
        options = _ruled(options, url, dialect, body, models.real(facts.model))
        plan = _pinned(Plan(b"", dialect, facts, options, body=body), models)
        plan = structs.replace(plan, unpinned=unpinned(plan.facts, models))
        if _may_be_reworded(plan):
            plan = structs.replace(plan, request=request)
        return refuse(plan.facts, options.policy, models) or keyed(request, plan, models)
    except ValueError as doubt:  # Ambiguous, or a URL that cannot be
        return Reason("ambiguous", str(doubt))


def _ruled(options: Options, url: SplitResult, dialect: Dialect, body: Json, model: str) -> Options:
    """Let the rules choose the policy, if nobody did."""
    if options.rules is None:
        return options
    asked = Asked(model, url.path, record(body.get("metadata")), dialect.system(body))
    policy = options.rules.policy(asked)
    return options if policy is None else replace(options, policy=policy)


def _pinned(plan: Plan, models: Models) -> Plan:
    """Ask for temperature 0 where the policy says so and the caller says nothing."""
    if not pinnable(plan.facts, plan.options.policy, models):
        return plan
    body = plan.dialect.pinned(plan.body)
    if body is None:
        return plan
    if too_deep(body):
        raise Ambiguous("the body is nested too deep to be written again")
    facts = structs.replace(plan.facts, temperature=0.0)
    return structs.replace(plan, body=body, facts=facts, pinned=True)


def _sends_usage_on_request(url: SplitResult, models: Models) -> bool:
    if not models.sends_usage_on_request(url.hostname or ""):
        return False
    # Azure's dated versions before this one refuse to be asked:
    # https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
    version = dict(parse_qsl(url.query)).get("api-version", "")
    return not version[:1].isdigit() or version[:10] >= "2024-10-21"


def _may_be_reworded(plan: Plan) -> bool:
    facts, options = plan.facts, plan.options
    return (
        options.takes_rewordings
        and options.samples is None
        and facts.samples
        # What is drawn at random is wanted anew for each wording.
        and (facts.temperature == 0 or plan.unpinned)
    )


def keyed(request: Request, plan: Plan, models: Models) -> Plan:
    """Give a plan its key, and each part of a batch its own. Ambiguous if there is none."""
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
        parts.append(structs.replace(plan, key=keys.digest(document), body=body))
    return parts[0] if len(parts) == 1 else structs.replace(plan, parts=tuple(parts))
