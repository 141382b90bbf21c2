"""What settings make of a request. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from askonce import plans, settings
from askonce.commands import request_files
from askonce.dialects.wire import record
from askonce.engine import is_exact_only
from askonce.model import Reason
from askonce.plans import Plan
from askonce.policy import Models, Options, Policy
from askonce.rules import Asked, Rule, Rules
from askonce.settings import Settings


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would happen to a request: a plan, or the reason of a bypass.

    `rule` is the number (from 1) of the rule that chose the policy, None where none did; `said_by`
    is where the rule stands, or else where the policy was set.
    """

    asked: request_files.Asked
    model: str
    policy: str
    rule: int | None
    said_by: str
    plan: Plan | None
    reason: Reason | None

    @property
    def parts(self) -> tuple[Plan, ...]:
        """The plans of a batch's inputs, or the one there is; none for a bypass."""
        if self.plan is None:
            return ()
        return self.plan.parts or (self.plan,)

    @property
    def exact_only(self) -> bool:
        """Whether the policy asks for semantic lookup, where there is none."""
        return self.plan is not None and is_exact_only(self.plan.options)


def forecast(said: Settings, options: Options, asked: request_files.Asked) -> Forecast:
    """Say what would happen to a request under these settings, and under the options they make."""
    planned = plans.make(asked.request, options, said.models or Models.shipped())
    if asked.reason is not None and asked.reason.code == "ambiguous":
        # The request was written anew from its file, and what is doubtful there is not in it.
        planned = asked.reason
    model, rule = _model_and_rule(said.rules, asked)
    chosen = said.policy if rule is None else said.rules[rule - 1].policy
    return Forecast(
        asked,
        model,
        policy_name(said, chosen),
        rule,
        said.where("policy" if rule is None else f"rules[{rule - 1}]"),
        planned if isinstance(planned, Plan) else None,
        planned if isinstance(planned, Reason) else None,
    )


def _model_and_rule(rules: tuple[Rule, ...], asked: request_files.Asked) -> tuple[str, int | None]:
    dialect, body = asked.dialect, asked.body
    if dialect is None:
        return "", None
    path = urlsplit(asked.request.url).path
    model = dialect.facts(path, body).model
    seen = Asked(model, path, record(body.get("metadata")), dialect.system(body))
    fitting = (
        number for number, rule in enumerate(rules, 1) if Rules([rule]).policy(seen) is not None
    )
    return model, next(fitting, None)


def policy_name(said: Settings, policy: Policy | str | None) -> str:
    """Return the name of a policy: of one of the file's own, or of a preset."""
    own = [name for name, one in said.policies.items() if one is policy]
    if own or policy is None:
        return own[0] if own else settings.DEFAULT
    return policy if isinstance(policy, str) else policy.name
