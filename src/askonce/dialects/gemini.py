"""Google's Gemini: generateContent and streamGenerateContent, on the Gemini API and Vertex.

Reference: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote

from askonce.dialects import flaws, questions
from askonce.dialects.contract import Dialect, Facts, Json
from askonce.dialects.merge import Unclear, extended, gather, grown, replaced
from askonce.dialects.wire import (
    decode,
    encode,
    items,
    number,
    prose,
    record,
    said,
    server_tool,
    text,
    tokens,
    too_deep,
)
from askonce.frames import Event
from askonce.model import Reason, Usage

_WHOLE, _STREAM = ":generateContent", ":streamGenerateContent"

_FILTERED = frozenset(
    """
    SAFETY RECITATION LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII IMAGE_SAFETY MODEL_ARMOR ESCALATION
    IMAGE_PROHIBITED_CONTENT IMAGE_RECITATION PUP_LIMITED_DISABLED
    """.split()
)
_BROKEN_CALL = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"})

# The only members by which a part is text, and may be continued by the next one. Parts that bear a
# signature must stay apart, https://ai.google.dev/gemini-api/docs/thought-signatures
_TEXT_PART = frozenset({"text", "thought"})


def _matches(path: str) -> bool:
    return path.endswith((_WHOLE, _STREAM))


def _endpoint(path: str) -> str:
    return path.removesuffix(_STREAM) + _WHOLE if path.endswith(_STREAM) else path


def _form_is_read(path: str, query: str) -> bool:
    # Without `alt=sse` a stream comes as one long JSON array; other values ask for other formats.
    forms = {value for name, value in parse_qsl(query, keep_blank_values=True) if name == "alt"}
    return forms == {"sse"} if path.endswith(_STREAM) else forms <= {"json"}


def _facts(path: str, body: Json) -> Facts:
    settings = body.get("generationConfig", body.get("generation_config"))
    return Facts(
        model=unquote(path.rpartition("/")[2].partition(":")[0]),
        stream=path.endswith(_STREAM),
        temperature=number(record(settings).get("temperature")),
        effect=_effect(body.get("tools")),
    )


def _system(body: Json) -> str:
    said_by_developer = body.get("systemInstruction", body.get("system_instruction"))
    return prose(record(said_by_developer).get("parts"))


def _pinned(body: Json) -> Json | None:
    name = "generation_config" if "generation_config" in body else "generationConfig"
    settings = body.get(name)
    if record(settings).get("temperature") is not None:
        return None
    return {**body, name: {**record(settings), "temperature": 0}}


def _effect(tools: Any) -> Reason | None:
    # The API takes one tool without a list too.
    for tool in tools if isinstance(tools, list) else [] if tools is None else [tools]:
        if not isinstance(tool, dict):
            return server_tool(None)
        for name, member in tool.items():
            if name not in ("functionDeclarations", "function_declarations") and member is not None:
                return server_tool(name)
    return None


# Whether an answer is worth keeping


def _flaw(answer: Json) -> Reason | None:
    if answer.get("error"):
        return flaws.ERROR
    if record(answer.get("promptFeedback")).get("blockReason"):
        return flaws.FILTERED
    candidates = answer.get("candidates")
    if not isinstance(candidates, list) or not all(isinstance(each, dict) for each in candidates):
        return flaws.MALFORMED
    if not candidates:
        return flaws.EMPTY
    flaw = next((flaw for each in candidates if (flaw := _candidate_flaw(each))), None)
    return flaw or (flaws.MALFORMED if too_deep(answer) else None)


def _candidate_flaw(candidate: Json) -> Reason | None:
    flaw = _finish_flaw(candidate.get("finishReason"))
    if flaw is not None:
        return flaw
    parts = record(candidate.get("content")).get("parts", [])
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return flaws.MALFORMED
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    if not all(map(_is_call, calls)):
        return flaws.BROKEN_TOOL_CALL
    return None if any(map(_holds_answer, parts)) else flaws.EMPTY


def _finish_flaw(reason: Any) -> Reason | None:
    if reason in (None, "", "CONTINUATION"):
        return flaws.UNFINISHED
    if not isinstance(reason, str):
        return flaws.unknown_finish(reason)
    if reason == "MAX_TOKENS":
        return flaws.TRUNCATED
    if reason in _FILTERED:
        return flaws.FILTERED
    if reason in _BROKEN_CALL:
        return flaws.BROKEN_TOOL_CALL
    return None if reason == "STOP" else flaws.unknown_finish(reason)


def _is_call(call: Any) -> bool:
    # A function without parameters is called without `args`.
    return said(record(call).get("name")) and isinstance(record(call).get("args", {}), dict)


def _holds_answer(part: Json) -> bool:
    if part.get("thought") is True:
        return False
    others = part.keys() - {"text", "thought", "thoughtSignature"}
    return said(part.get("text")) or any(part[name] for name in others)


# A stream, put together


def _whole(stream: Sequence[Event]) -> Json | None:
    try:
        return _assemble([decode(event.data) for event in stream])
    except (ValueError, RecursionError):
        return None


def _assemble(chunks: list[Any]) -> Json:
    if not chunks or not all(isinstance(chunk, dict) and "error" not in chunk for chunk in chunks):
        raise Unclear("nothing, an error, or something that is no chunk")
    candidates: dict[int, list[Json]] = {}
    for chunk in chunks:
        for candidate in items(chunk.get("candidates")):
            # Google's JSON leaves out what is zero.
            place = candidate.get("index", 0) if isinstance(candidate, dict) else None
            if not isinstance(place, int):
                raise Unclear("a candidate without a place")
            candidates.setdefault(place, []).append(candidate)
    answer = gather(chunks, replaced)
    if candidates:
        answer["candidates"] = [_candidate(candidates[place]) for place in sorted(candidates)]
    elif not record(answer.get("promptFeedback")).get("blockReason"):
        raise Unclear("no candidate at all")
    return answer


def _candidate(pieces: list[Json]) -> Json:
    candidate = gather(pieces, _candidate_member)
    if not text(candidate.get("finishReason")):
        raise Unclear("a candidate without its end")
    return candidate


def _candidate_member(name: str, values: list[Any]) -> Any:
    if name == "content":
        return gather(values, _content_member) if _all(dict, values) else replaced(name, values)
    if name == "logprobsResult":
        return extended(name, values)
    if name == "safetyRatings":
        return replaced(name, values)
    return _without_repeats(name, values)


def _content_member(name: str, values: list[Any]) -> Any:
    if name != "parts" or not _all(list, values):
        return replaced(name, values)
    parts: list[list[Json]] = []
    for part in (part for value in values for part in value):
        if not isinstance(part, dict) or _is_partial_call(part.get("functionCall")):
            raise Unclear("a part in pieces")
        if parts and _continues(parts[-1][-1], part):
            parts[-1].append(part)
        else:
            parts.append([part])
    return [gather(run, grown) if len(run) > 1 else run[0] for run in parts]


def _is_partial_call(call: Any) -> bool:
    # Vertex may send a call's arguments in pieces, which name paths inside of them.
    return bool(record(call).get("partialArgs") or record(call).get("willContinue"))


def _continues(before: Json, part: Json) -> bool:
    plain = before.keys() <= _TEXT_PART and part.keys() <= _TEXT_PART
    both = isinstance(before.get("text"), str) and isinstance(part.get("text"), str)
    return plain and both and before.get("thought", False) == part.get("thought", False)


def _without_repeats(name: str, values: list[Any]) -> Any:
    """Fold what some models tell bit by bit and others anew each time, such as citations.

    Others count the entries of such lists, so none may be lost and none be there twice.
    """
    if len(values) == 1:
        return values[0]
    if _all(dict, values):
        return gather(values, _without_repeats)
    if _all(list, values):
        known: list[Any] = []
        for value in values:
            if value[: len(known)] == known:
                known = value
            elif any(entry in known for entry in value):
                raise Unclear(f"{name} is told in part again")
            else:
                known = [*known, *value]
        return known
    return replaced(name, values)


def _all(kind: type, values: list[Any]) -> bool:
    return all(isinstance(value, kind) for value in values)


# A whole answer, told as a stream


def _events(answer: Json, _facts: Facts) -> Iterable[Event]:
    return (Event(encode(answer)),)


def _usage(answer: Json) -> Usage:
    """Count thoughts as output and the prompts of tools as input, as the bill does."""
    counted = record(answer.get("usageMetadata"))
    sent = tokens(a=counted.get("promptTokenCount"), b=counted.get("toolUsePromptTokenCount"))
    written = tokens(a=counted.get("candidatesTokenCount"), b=counted.get("thoughtsTokenCount"))
    return tokens(
        input=sum(sent.values()) if sent else None,
        output=sum(written.values()) if written else None,
        total=counted.get("totalTokenCount"),
    )


GEMINI = Dialect(
    name="gemini.generate_content",
    matches=_matches,
    facts=_facts,
    flaw=_flaw,
    whole=_whole,
    events=_events,
    neutral_query=frozenset(
        {
            "alt",  # how the answer is framed; `_form_is_read` knows which values are read
            "key",  # the credential
        }
    ),
    form_is_read=_form_is_read,
    question=questions.in_contents,
    system=_system,
    pinned=_pinned,
    endpoint=_endpoint,
    usage=_usage,
)
