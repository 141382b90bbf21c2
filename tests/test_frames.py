"""Server-sent events: what goes in comes out, however it was cut."""

from __future__ import annotations

import time
from itertools import pairwise

import anthropic
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from askonce.frames import Event, Splitter, events, is_cut, read, write, write_all

LINES = st.sampled_from(
    [
        "data: one",
        "data:two",
        "data",
        "data: é",
        "event: ping",
        ": comment",
        "id: 7",
        "retry: 1",
        "",
    ]
)
ENDS = st.sampled_from(["\n", "\r", "\r\n"])
STREAMS = st.lists(st.tuples(LINES, ENDS), max_size=14).map(
    lambda rows: "".join(line + end for line, end in rows).encode()
)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def split(chunks: list[bytes]) -> tuple[list[bytes], bytes]:
    splitter = Splitter()
    pieces = [piece for chunk in chunks for piece in splitter.feed(chunk)]
    return pieces, splitter.rest()


@settings(deadline=None)
@given(STREAMS, st.lists(st.integers(0, 200), max_size=12))
def test_any_cutting_of_a_stream_gives_the_same_pieces(body, places):
    whole, rest = split([body])
    pieces, left = split(cut(body, places))
    assert (pieces, left) == (whole, rest)
    assert b"".join(pieces) + left == body


@settings(deadline=None)
@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_any_bytes_at_all_are_kept_in_order(body, places):
    pieces, rest = split(cut(body, places))
    assert b"".join(pieces) + rest == body
    assert (pieces, rest) == split([body])


@settings(deadline=None)
@given(STREAMS)
def test_the_official_sdk_reads_the_same_events(body):
    # What a CR ends is held back until the next byte says whether it was half of a CRLF.
    body += b"\n\n: the end\n"
    theirs = [(sse.data, sse.event) for sse in SSEDecoder().iter_bytes(iter([body])) if sse.data]
    assert [(event.data, event.name) for event in events(body) if event.data] == theirs


TEXTS = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=20)
NAMES = st.none() | st.text(
    st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1, max_size=8
).filter(lambda name: not name.startswith(" "))


@settings(deadline=None)
@given(st.lists(st.builds(Event, TEXTS, NAMES), max_size=6))
def test_what_is_written_is_read_again(stream):
    assert list(events(write_all(stream))) == stream


def test_comments_and_events_without_data_are_no_events():
    assert read(b": keep-alive\n\n") is None
    assert read(b"event: ping\n\n") is None
    assert read(b"\xef\xbb\xbfdata: first\n\n") == Event("first")


def test_bytes_that_are_not_utf_8_are_refused():
    with pytest.raises(UnicodeDecodeError):
        read(b"data: \xff\n\n")


@pytest.mark.parametrize("end", ["", "\n", "\r", "\r\n"])
@pytest.mark.parametrize("last", ["data: [DONE]", "data: [DO", "event: ping", "dat", "\ufeff"])
def test_a_last_event_without_its_end_is_none_and_its_stream_is_cut(last, end):
    body = f"data: 1\n\n{last}{end}".encode()
    assert list(events(body)) == [Event("1")]
    assert is_cut(body)
    for sdk in openai, anthropic:
        decoder = sdk._streaming.SSEDecoder()
        assert [sse.data for sse in decoder.iter_bytes(iter([body]))] == ["1"]


@pytest.mark.parametrize("end", ["\n\n", "\r\r", "\n\r", "\r\n\r", "\r\n\r\n", "\n\n\n"])
@pytest.mark.parametrize("after", ["", ": bye", ": bye\n", "\n"])
def test_a_stream_may_end_with_its_last_event_or_in_a_comment(end, after):
    body = f"data: 1\n\ndata: [DONE]{end}{after}".encode()
    assert list(events(body)) == [Event("1"), Event("[DONE]")]
    assert not is_cut(body)


def test_a_megabyte_in_one_event_is_looked_at_once():
    body = write(Event("x" * 4_000_000))
    splitter = Splitter()
    begun = time.process_time()
    pieces = [
        piece for at in range(0, len(body), 1000) for piece in splitter.feed(body[at : at + 1000])
    ]
    # Searching it anew for each of the 4,000 chunks is 8 GB of text: half a minute.
    assert time.process_time() - begun < 3
    assert pieces == [body]
