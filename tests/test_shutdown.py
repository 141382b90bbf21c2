"""Leaving: whatever is still open when a program ends, it ends without a word."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAMS = {
    "a stream that nobody read": """
client = cache.wrap(OpenAI(base_url=base, api_key="k"))
stream = client.chat.completions.create(stream=True, **call)
next(stream)
""",
    "a stream and a follower in a global": """
client = cache.wrap(OpenAI(base_url=base, api_key="k"))
streams = [client.chat.completions.create(stream=True, **call) for _ in range(2)]
next(streams[1])
""",
    "a generator that was never finished": """
@cache
def tokens():
    yield 1
    yield 2
left = tokens()
next(left)
""",
    "an async stream that nobody read": """
async def main():
    global client, stream
    client = cache.wrap(AsyncOpenAI(base_url=base, api_key="k"))
    stream = await client.chat.completions.create(stream=True, **call)
    await anext(stream)
    await stream.close()
    await client.close()
asyncio.run(main())
""",
    "a cache that was never closed": """
client = cache.wrap(OpenAI(base_url=base, api_key="k"))
client.chat.completions.create(**call)
client.chat.completions.create(**call)
""",
    "a thread that still calls": """
client = cache.wrap(OpenAI(base_url=base, api_key="k"))
threading.Thread(target=client.chat.completions.create, kwargs=call).start()
""",
}

HEAD = """
import asyncio, sys, threading
from openai import AsyncOpenAI, OpenAI
from askonce import Cache

base, url = sys.argv[1] + "/v1", sys.argv[2]
cache = Cache(url)
call = {"model": "gpt-4o", "temperature": 0, "messages": [{"role": "user", "content": "Why?"}]}
"""


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_a_program_ends_quietly_with(program, upstream, url):
    done = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", "-c", HEAD + program, upstream.url, url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
