"""Why an answer is not kept: one reason for each flaw, in the words of every dialect."""

from __future__ import annotations

from askonce.model import Reason

TRUNCATED = Reason("truncated", "the answer was cut off; allow more output tokens to keep it")
REFUSED = Reason("refused", "the model refused to answer; refusals are not kept")
FILTERED = Reason("filtered", "the provider's content filter took the answer or part of it")
EMPTY = Reason("empty", "the answer holds no text, no tool call, no image and no audio")
BROKEN_TOOL_CALL = Reason(
    "broken_tool_call", "a tool call has no name, or arguments that are not a JSON object"
)
ERROR = Reason("error", "the provider answered with an error in the body")
UNFINISHED = Reason("unfinished", "the provider does not say that the answer came to its end")
MALFORMED = Reason("malformed", "the body does not have the shape of an answer")


def unknown_finish(reason: object) -> Reason:
    """Name a finish reason that askonce does not know; in doubt an answer is not kept."""
    return Reason("unknown_finish", f"askonce does not know the finish reason {reason!r}")
