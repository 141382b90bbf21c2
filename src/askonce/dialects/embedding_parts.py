"""Batches of embeddings, taken apart so that each input has an entry of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from askonce.dialects.contract import Json
from askonce.dialects.wire import record


def parts(body: Json) -> list[Json]:
    """Split a request into one for each input; `"x"` and `["x"]` are the same one.

    Inputs are a text, a list of texts, a list of tokens, or a list of lists of tokens.
    """
    given = body.get("input")
    if isinstance(given, list) and given and all(isinstance(item, str | list) for item in given):
        return [{**body, "input": item} for item in given]
    return [body]


def gather(body: Json, missing: Sequence[Json]) -> Json:
    """Make the one request that asks for the missing parts, in their order."""
    return {**body, "input": [part["input"] for part in missing]}


def divide(answer: Json, requests: Sequence[Json]) -> list[Json] | None:
    """Split an answer into one for each part; None when it does not fit the request.

    Tokens are counted for the batch as a whole; each part gets its share by length, so that the
    same batch, read back, costs what was paid.
    """
    data = answer.get("data")
    if not isinstance(data, list) or len(data) != len(requests):
        return None
    by_index = {_place(item): item for item in data}
    if by_index.keys() != set(range(len(requests))):
        return None
    shares = _shares(answer.get("usage"), [len(request["input"]) for request in requests])
    parts: list[Json] = [
        {**answer, "data": [{**by_index[at], "index": 0}]} for at in range(len(requests))
    ]
    return (
        parts
        if "usage" not in answer
        else [{**part, "usage": share} for part, share in zip(parts, shares, strict=True)]
    )


def _place(item: Any) -> int | None:
    index = item.get("index") if isinstance(item, dict) else None
    return index if isinstance(index, int) else None


def join(answers: Sequence[Json]) -> Json:
    """Put the answers of all parts together, in order."""
    usage: dict[str, Any] = {}
    for answer in answers:
        for name, count in record(answer.get("usage")).items():
            if isinstance(count, int):
                usage[name] = usage.get(name, 0) + count
    data = [{**answer["data"][0], "index": at} for at, answer in enumerate(answers)]
    joined = {**answers[0], "data": data}
    return {**joined, "usage": usage} if "usage" in joined else joined


def _shares(usage: Any, lengths: Sequence[int]) -> list[Json]:
    shares: list[Json] = [{} for _ in lengths]
    total = sum(lengths) or 1
    for name, count in record(usage).items():
        if not isinstance(count, int):
            continue
        given, so_far = 0, 0
        for share, length in zip(shares, lengths, strict=True):
            so_far += length
            share[name] = count * so_far // total - given
            given += share[name]
        shares[-1][name] += count - given
    return shares
