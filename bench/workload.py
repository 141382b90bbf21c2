"""What is asked and answered: requests of 4 KB and 60 KB, and an answer of 1.6 KB."""

from __future__ import annotations

import json
import random
from typing import Any

MODEL = "gpt-4o-mini"

_ASCII = """
    the a of to and in for with on that is are be can should will please explain describe summarise
    compare system customer refund order account policy delivery question answer because therefore
    context model data table value number date price latency cache request response token index
    search result quality 42 3.14 user assistant tool function example
""".split()
_MARKED = [*_ASCII, "naïve", "“quoted”", "Zürich", "…"]

PLACE = "<number>"
"""Where a request says which one it is, for those who need many different ones."""


def text(size: int, seed: int, words: list[str]) -> str:
    """Write so many bytes of words, always the same ones."""
    chance = random.Random(seed)
    written = ""
    while len(written.encode()) < size:
        written += " ".join(chance.choice(words) for _ in range(20)) + ".\n"
    return written.encode()[:size].decode(errors="ignore")


def chat(*, plain: bool = True, **more: float) -> str:
    """Return the JSON of a chat of 4 KB: a system prompt and seven turns."""
    words = _ASCII if plain else _MARKED
    turns = ["user", "assistant"] * 3 + ["user"]
    messages = [{"role": "system", "content": text(1400, 0, words)}]
    messages += [{"role": role, "content": text(330, n, words)} for n, role in enumerate(turns, 1)]
    messages[-1]["content"] += PLACE
    return _request(messages, **more)


def document(*, plain: bool = True) -> str:
    """Return the JSON of a question about documents of 60 KB in all."""
    words = _ASCII if plain else _MARKED
    question = text(59_600, 8, words) + PLACE
    messages = [
        {"role": "system", "content": text(1300, 0, words)},
        {"role": "user", "content": question},
    ]
    return _request(messages)


def _request(messages: list[dict[str, str]], **more: float) -> str:
    request = {
        "model": MODEL,
        "messages": messages,
        "temperature": 0,
        "max_tokens": 512,
        "seed": 7,
        **more,
    }
    return json.dumps(request, ensure_ascii=False)


def numbered(request: str, number: int) -> str:
    """Return the same request about something else."""
    return request.replace(PLACE, str(number))


def answer(number: int = 0) -> dict[str, Any]:
    """Return a chat completion as OpenAI sends it; 1.6 KB as JSON."""
    return {
        "id": f"chatcmpl-B7xQ{number:08d}Kd2mRt9wVbNc",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": text(1040, 9, _ASCII) + str(number),
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 900,
            "completion_tokens": 240,
            "total_tokens": 1140,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
    }


ANSWER_TEXT: str = answer()["choices"][0]["message"]["content"]
ANSWER_JSON: bytes = json.dumps(answer(), separators=(",", ":")).encode()
ANSWER_HEADERS = (("content-type", "application/json"), ("x-request-id", "req_0123456789abcdef"))

REQUESTS = {
    "4 KB": chat(),
    "60 KB": document(),
    "4 KB, with floats": chat(temperature=0.0, top_p=0.95),
    "4 KB, not ASCII": chat(plain=False),
    "60 KB, not ASCII": document(plain=False),
}
"""Requests by their names in the rows."""
