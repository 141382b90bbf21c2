"""Embedders: each passes the contract, and what is no vector is an error and never one."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import tracemalloc

import numpy
import openai
import pytest

from askonce.embedders import EmbedderError, Endpoint, Function, Local, Remembering
from askonce.errors import AskonceError, ConfigError
from askonce.testing import EmbedderContract, FakeUpstream
from askonce.testing.fake_openai import vector
from askonce.testing.fake_script import Reply


def hashed(texts):
    return [vector(text, 16) for text in texts]


@pytest.fixture(scope="module")
def local():
    return Local()


class TestLocal(EmbedderContract):
    def make_embedder(self):
        return Local()


class TestFunction(EmbedderContract):
    def make_embedder(self):
        return Function(hashed, name="hashed-1", dimension=16)


class TestRemembering(EmbedderContract):
    def make_embedder(self):
        return Remembering(Function(hashed, name="hashed-1", dimension=16))


class TestRememberingNextToNothing(EmbedderContract):
    def make_embedder(self):
        return Remembering(Function(hashed, name="hashed-1", dimension=16), limit=1)


class Reached(EmbedderContract):
    @pytest.fixture(autouse=True)
    def server(self):
        with FakeUpstream() as self.upstream:
            yield


class TestEndpointByUrl(Reached):
    def make_embedder(self):
        return Endpoint(f"{self.upstream.url}/v1", "small", api_key="any")


class TestEndpointByClient(Reached):
    @pytest.fixture(autouse=True)
    def client(self, server):
        with openai.OpenAI(base_url=f"{self.upstream.url}/v1", api_key="any") as self.openai:
            yield

    def make_embedder(self):
        return Endpoint(self.openai, "small", dimensions=32, batch=100)


# The contract tells a bad embedder


class Bad:
    name, dimension = "bad", 16

    def __init__(self, spoil):
        self._spoil = spoil

    def embed(self, texts):
        made = numpy.array(hashed(texts), numpy.float32).reshape(len(texts), 16)
        return self._spoil(made)


@pytest.mark.parametrize(
    ("test", "spoil"),
    [
        ("test_a_text_is_a_row_of_its_dimension", lambda made: made[:, :8]),
        ("test_a_text_is_a_row_of_its_dimension", lambda made: made.tolist()),
        ("test_numbers_are_of_32_bits", lambda made: made.astype(float)),
        ("test_no_texts_are_no_rows", lambda made: made[:, :8]),
        ("test_rows_stand_in_the_order_of_their_texts", lambda made: numpy.sort(made, axis=0)),
        ("test_a_text_has_one_vector_alone_and_among_others", lambda made: made - made.mean(0)),
        ("test_another_text_has_another_vector", lambda made: made[:1].repeat(len(made), 0)),
        ("test_many_texts_come_back_whole", lambda made: made[:256]),
    ],
)
def test_the_contract_fails_for_a_bad_embedder(test, spoil):
    class Suite(EmbedderContract):
        def make_embedder(self):
            return Bad(spoil)

    with pytest.raises(AssertionError):
        getattr(Suite(), test)(Bad(spoil))


@pytest.mark.parametrize("spoil", [lambda made: made * 2, lambda made: made * numpy.nan])
def test_the_contract_fails_for_vectors_of_another_length(spoil):
    with pytest.raises(AssertionError):
        EmbedderContract().test_every_vector_is_finite_and_of_length_1(Bad(spoil), "x")


# Local


@pytest.mark.parametrize(
    ("one", "other", "cosine"),
    # By transformers with the published weights, in 32 bits.
    [
        ("What is Retrieval-Augmented Generation?", "Can you explain RAG in AI?", 0.2642),
        ("How do I cancel my order?", "How can I cancel an order?", 0.9779),
        ("Does Alice like Bob?", "Does Bob like Alice?", 0.9918),
        ("What is the capital of France?", "What is the capital of Germany?", 0.6632),
    ],
)
def test_local_cosines_are_those_of_the_published_model(local, one, other, cosine):
    first, second = local.embed([one, other])
    assert first @ second == pytest.approx(cosine, abs=0.005)


def test_local_numbers_are_those_of_the_published_model(local):
    published = [-0.0099, 0.0594, 0.0720, 0.0344, -0.0442, -0.0395]
    made = local.embed(["How do I cancel my order?"])[0]
    assert numpy.abs(made[:6] - published).max() < 0.005


def test_local_reads_256_tokens_and_refuses_more_than_it_can_read(local):
    assert local.embed(["word " * 254]).shape == (1, 384)
    with pytest.raises(EmbedderError, match="257 tokens is too long"):
        local.embed(["word " * 255])


def test_local_refuses_an_endless_text_before_it_is_divided(local):
    with pytest.raises(EmbedderError, match="30000000 characters"):
        local.embed([" " * 30_000_000])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("What does \u9f98 mean?", "\u9f98"),
        ("Was hei\U0001d586t das?", "hei\U0001d586t"),
        ("Where is my order\U0001f600?", "order\U0001f600"),
        ("a" * 101, "a" * 101),
    ],
)
def test_local_refuses_a_word_that_it_cannot_read(local, text, word):
    with pytest.raises(EmbedderError, match=f"cannot read the word '{word}'"):
        local.embed(["a readable one", text])


def test_local_takes_signs_that_it_does_not_know(local):
    assert local.embed(["Where is my order? \U0001fae0"]).shape == (1, 384)


def test_local_has_its_files_in_its_name(local):
    model, _, digest = local.name.partition("@")
    assert model == "all-MiniLM-L6-v2"
    assert len(digest) == 12


def test_local_makes_the_same_vectors_on_two_threads(local):
    texts = ["How do I cancel my order?", "Why is the sky blue?"]
    assert numpy.abs(Local(threads=2).embed(texts) - local.embed(texts)).max() < 1e-5


@pytest.mark.parametrize("threads", [0, -1])
def test_local_needs_a_thread(threads):
    with pytest.raises(ConfigError, match="threads"):
        Local(threads=threads)


def test_many_threads_open_the_model_once(monkeypatch):
    import onnxruntime

    opened = []
    session = onnxruntime.InferenceSession

    def counted(*given, **named):
        opened.append(1)
        return session(*given, **named)

    monkeypatch.setattr(onnxruntime, "InferenceSession", counted)
    shared, barrier = Local(), threading.Barrier(8)
    assert opened == []

    def ask():
        barrier.wait(10)
        shared.embed(["x"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert opened == [1]


def alone(program, **environment):
    """Run a program in a fresh interpreter, and return what it printed as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


WITHOUT_NETWORK = """
import json, socket, sys
asked = []

def watch(event, arguments):
    if event.startswith("socket.") and event != "socket.__new__":
        asked.append(event)
        raise OSError(f"no network here: {event}")

def refuse(*given, **named):
    asked.append("socket")
    raise OSError("no network here")

sys.addaudithook(watch)
for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = socket.create_connection = refuse
try:
    socket.getaddrinfo("example.com", 80)
except OSError:
    assert asked.pop() == "socket"

from askonce.embedders import Local
vectors = Local().embed(["Is there a network?", "There is none."])
print(json.dumps([asked, vectors.shape]))
"""


def test_local_works_where_no_socket_can_be_connected():
    assert alone(WITHOUT_NETWORK) == [[], [2, 384]]


def test_importing_embedders_brings_neither_numpy_nor_a_runtime():
    brought = alone(
        "import json, sys, askonce, askonce.embedders\n"
        "askonce.embedders.Local(); askonce.embedders.Endpoint('http://127.0.0.1:9/v1', 'm')\n"
        "heavy = {'numpy', 'onnxruntime', 'tokenizers', 'httpx', 'httpx2', 'openai', 'socket', 'ssl'}\n"
        "print(json.dumps(sorted(heavy & set(sys.modules))))"
    )
    assert brought == []


@pytest.mark.parametrize("missing", ["numpy", "onnxruntime", "tokenizers", "askonce_models"])
def test_a_missing_package_is_an_error_that_names_the_fix(missing):
    said = alone(
        f"import json, sys\nsys.modules[{missing!r}] = None\n"
        "from askonce.embedders import Local\nfrom askonce.errors import ConfigError\n"
        "try:\n    Local()\nexcept ConfigError as error:\n    print(json.dumps(str(error)))"
    )
    assert said == f'the local embedder needs {missing}: pip install "askonce[semantic]"'


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_a_fork_embeds_what_its_parent_does():
    program = """
import json, os, warnings
from askonce.embedders import Local
shared = Local()
before = shared.embed(["before the fork"])
warnings.simplefilter("ignore", DeprecationWarning)  # of forks where threads may be
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, shared.embed(["before the fork"]).tobytes())
    os._exit(0)
os.close(writing)
with os.fdopen(reading, "rb") as child:
    print(json.dumps(child.read() == before.tobytes()))
os.wait()
"""
    assert alone(program) is True


# Function


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ([[1.0, 0.0]], "shape"),
        ([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], "shape"),
        ([1.0, 0.0], "shape"),
        (3.0, "shape"),
        (None, "shape"),
        ([[[1.0, 0.0]], [[1.0, 0.0]]], "shape"),
        ([[], []], "shape"),
        ([[1.0, 0.0], [1.0]], "no rows of numbers"),
        ([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], "of 3 numbers, and not of 2"),
        ([["1", "0"], ["0", "1"]], "where numbers were asked for"),
        ([[1j, 0], [1, 0]], "where numbers were asked for"),
        ([[True, False], [True, False]], "where numbers were asked for"),
        ([[1.0, None], [1.0, 0.0]], "where numbers were asked for"),
        ([[1.0, 0.0], [float("nan"), 0.0]], "NaN"),
        ([[1.0, 0.0], [float("inf"), 0.0]], "NaN"),
        ([[1.0, 0.0], [1e300, 0.0]], "too large"),
        ([[1.0, 0.0], [0.0, 0.0]], "zero vector"),
        ([[1.0, 0.0], [1e-30, 0.0]], "zero vector"),
    ],
)
def test_what_is_no_vectors_is_an_error(made, said):
    embedder = Function(lambda texts: made, name="m", dimension=2)
    with pytest.raises(EmbedderError, match=said):
        embedder.embed(["a", "b"])


def test_vectors_are_brought_to_length_1():
    embedder = Function(lambda texts: [[3, 4], [0, -5e20]], name="m", dimension=2)
    made = embedder.embed(["a", "b"])
    assert made.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, -1]]


def test_arrays_of_any_precision_are_taken():
    for kind in ("float16", "float32", "float64", "int8"):
        embedder = Function(
            lambda texts, kind=kind: numpy.eye(2, dtype=kind), name="m", dimension=2
        )
        assert embedder.embed(["a", "b"]).tolist() == [[1, 0], [0, 1]]


def test_a_function_is_not_called_for_no_texts():
    asked = []
    embedder = Function(asked.append, name="m", dimension=2)
    assert embedder.embed([]).shape == (0, 2)
    assert asked == []


def test_what_a_function_raises_passes():
    def broken(texts):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        Function(broken, name="m", dimension=2).embed(["a"])


def test_the_name_of_a_function_changes_with_its_dimension():
    names = {Function(hashed, name=n, dimension=d).name for n in "ab" for d in (16, 32)}
    assert len(names) == 4


@pytest.mark.parametrize(
    ("function", "name", "dimension", "said"),
    [
        ("hashed", "m", 2, "no function"),
        (hashed, "", 2, "name"),
        (hashed, None, 2, "name"),
        (hashed, "m", 0, "dimension"),
        (hashed, "m", 2.0, "dimension"),
    ],
)
def test_a_wrong_function_is_refused_when_given(function, name, dimension, said):
    with pytest.raises(ConfigError, match=said):
        Function(function, name=name, dimension=dimension)


# Endpoint


@pytest.fixture(params=["url", "client"])
def endpoint(request, upstream, opened):
    """Make an endpoint at the fake upstream, in both ways."""

    def make(model="small", path="/v1", **options):
        if request.param == "url":
            return Endpoint(upstream.url + path, model, api_key="sk-secret", **options)
        client = opened(openai.OpenAI(base_url=upstream.url + path, api_key="sk-secret"))
        return Endpoint(client, model, **options)

    return make


def answer(*rows):
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in rows]
    return Reply(raw=json.dumps({"object": "list", "data": data, "model": "small"}).encode())


def test_texts_go_in_batches_and_come_back_in_order(upstream, endpoint):
    texts = [f"text {number}" for number in range(7)]
    made = endpoint(batch=3, dimensions=16).embed(texts)
    assert numpy.abs(made - numpy.array(hashed(texts))).max() < 1e-6
    assert [len(request.json["input"]) for request in upstream.requests] == [3, 3, 1]
    assert {request.path for request in upstream.requests} == {"/v1/embeddings"}


def test_the_request_says_what_was_asked_for(upstream, endpoint):
    endpoint(model="large", dimensions=16).embed(["a text"])
    endpoint(model="large").embed(["a text"])
    with_size, without = (request.json for request in upstream.requests)
    common = {"model": "large", "input": ["a text"], "encoding_format": "float"}
    assert with_size == {**common, "dimensions": 16}
    assert without == common
    assert {request.headers["authorization"] for request in upstream.requests} == {
        "Bearer sk-secret"
    }


def test_rows_are_put_in_order_by_their_index(upstream, endpoint):
    upstream.script = lambda request: answer((1, [0.0, 1.0]), (0, [1.0, 0.0]))
    assert endpoint().embed(["a", "b"]).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    "rows",
    [
        [(0, [1.0, 0.0])],
        [(0, [1.0, 0.0]), (0, [0.0, 1.0])],
        [(1, [1.0, 0.0]), (2, [0.0, 1.0])],
        [(0, [1.0, 0.0]), (1, [0.0, 1.0]), (2, [0.0, 1.0])],
        [(0, [1.0, 0.0]), (1, [0.0])],
        [(0, [1.0, 0.0]), (1, [0.0, 0.0])],
        [(0, [1.0, 0.0, 0.0]), (1, [0.0, 1.0, 0.0])],
        [(0, []), (1, [])],
        [(0, ["1", "0"]), (1, ["0", "1"])],
        [(0, None), (1, None)],
        [],
    ],
)
def test_an_answer_with_wrong_rows_is_an_error(upstream, endpoint, rows):
    upstream.script = lambda request: answer(*rows)
    embedder = endpoint(dimensions=2)
    with pytest.raises((EmbedderError, ValueError)):
        embedder.embed(["a", "b"])


@pytest.mark.parametrize(
    "body", [b"{}", b'{"data": null}', b'{"data": [{}]}', b"[]", b"not json", b""]
)
def test_an_answer_that_is_no_list_of_embeddings_is_an_error(upstream, endpoint, body):
    upstream.script = lambda request: Reply(raw=body)
    with pytest.raises((AskonceError, ValueError, openai.OpenAIError)):
        endpoint(dimensions=2).embed(["a"])


def test_a_dimension_that_changes_between_answers_is_an_error(upstream, endpoint):
    replies = iter([answer((0, [1.0, 0.0])), answer((0, [1.0, 0.0, 0.0]))])
    upstream.script = lambda request: next(replies)
    embedder = endpoint()
    assert embedder.embed(["a"]).shape == (1, 2)
    with pytest.raises(EmbedderError, match="of 3 numbers, and not of 2"):
        embedder.embed(["b"])


def test_the_dimension_is_asked_for_once_where_it_was_not_given(upstream, endpoint):
    embedder = endpoint()
    assert upstream.calls == 0
    assert (embedder.dimension, "small/8@" in embedder.name) == (8, True)
    embedder.embed(["a"])
    assert upstream.calls == 2


def test_a_given_dimension_is_known_without_a_call(upstream, endpoint):
    embedder = endpoint(dimensions=32)
    assert (embedder.dimension, "small/32@" in embedder.name) == (32, True)
    assert upstream.calls == 0


def test_the_name_changes_with_model_dimension_revision_and_server(endpoint):
    kinds = [
        {},
        {"dimensions": 16},
        {"model": "large"},
        {"revision": "2"},
        {"path": "/other/v1"},
    ]
    assert len({endpoint(**kind).name for kind in kinds}) == len(kinds)


def test_a_client_and_its_address_have_one_name(upstream, opened):
    client = opened(openai.OpenAI(base_url=f"{upstream.url}/v1", api_key="k"))
    by_url = Endpoint(f"{upstream.url}/v1/", "small", dimensions=8)
    assert Endpoint(client, "small", dimensions=8).name == by_url.name


def test_a_request_is_given_up_at_its_timeout_and_not_made_again(upstream, endpoint, finishes):
    embedder = endpoint(dimensions=8, timeout="100ms")
    with upstream.held(), pytest.raises((EmbedderError, openai.APITimeoutError)):
        finishes(lambda: embedder.embed(["a"]))
    assert upstream.calls == 1


@pytest.mark.parametrize("status", [401, 429, 500])
def test_an_error_of_the_server_is_raised_at_once(upstream, endpoint, status):
    upstream.script = lambda request: Reply(status=status, error="no, sk-secret is wrong")
    with pytest.raises((EmbedderError, openai.APIStatusError), match=str(status)):
        endpoint(dimensions=8).embed(["a"])
    assert upstream.calls == 1


def test_a_key_is_shown_nowhere(upstream):
    upstream.script = lambda request: Reply(status=401, error="sk-secret is wrong")
    embedder = Endpoint(f"{upstream.url}/v1?key=sk-secret", "m", api_key="sk-secret", dimensions=8)
    with pytest.raises(EmbedderError, match=r"answered 401.*\.\.\. is wrong") as raised:
        embedder.embed(["a"])
    assert "sk-secret" not in f"{raised.value} {raised.value!r} {embedder!r} {embedder.name}"
    assert upstream.requests[0].query == "key=sk-secret"


def test_no_key_sends_no_header(upstream):
    Endpoint(f"{upstream.url}/v1", "m").embed(["a"])
    assert "authorization" not in upstream.requests[0].headers


def test_a_server_that_is_not_there_is_an_error():
    with FakeUpstream() as gone:
        url = gone.url
    with pytest.raises(EmbedderError, match="did not answer"):
        Endpoint(url, "m").embed(["a"])


def test_connections_stay_open(upstream):
    embedder = Endpoint(f"{upstream.url}/v1", "m", dimensions=8)
    for _ in range(5):
        embedder.embed(["a"])
    assert len(connections(embedder)) == 1


def connections(embedder):
    return embedder._wire._http._transport._pool.connections


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_a_fork_takes_connections_of_its_own(upstream):
    program = f"""
import json, os, warnings
from askonce.embedders import Endpoint
shared = Endpoint({upstream.url!r} + "/v1", "m", dimensions=8)
shared.embed(["a"])
warnings.simplefilter("ignore", DeprecationWarning)  # of forks where threads may be
reading, writing = os.pipe()
before = shared._wire._http
if os.fork() == 0:
    shared.embed(["b"])
    os.write(writing, b"y" if shared._wire._http is not before else b"n")
    os._exit(0)
os.wait()
print(json.dumps([os.read(reading, 1).decode(), shared._wire._http is before]))
"""
    assert alone(program) == ["y", True]
    assert upstream.calls == 2


def test_a_wrapped_client_embeds_each_text_once(upstream, cache, opened):
    client = cache.wrap(opened(openai.OpenAI(base_url=f"{upstream.url}/v1", api_key="k")))
    embedder = Endpoint(client, "small", dimensions=16)
    first = embedder.embed(["a", "b"])
    assert embedder.embed(["b", "a"]).tolist() == first[::-1].tolist()
    assert upstream.calls == 1


def test_an_async_client_is_refused():
    client = openai.AsyncOpenAI(api_key="k", base_url="http://127.0.0.1:9/v1")
    with pytest.raises(ConfigError, match="blocking client"):
        Endpoint(client, "m")
    asyncio.run(client.close())


@pytest.mark.parametrize(
    ("upstream_given", "options", "said"),
    [
        ("127.0.0.1:8000", {}, "base URL"),
        ("ftp://host/v1", {}, "base URL"),
        ("http:///v1", {}, "base URL"),
        ("https://me:sk-secret@host/v1", {}, "give api_key instead"),
        (None, {}, "neither a client"),
        (object(), {}, "neither a client"),
        ("http://host/v1", {"model": ""}, "model"),
        ("http://host/v1", {"dimensions": 0}, "dimensions"),
        ("http://host/v1", {"batch": 0}, "batch"),
        ("http://host/v1", {"timeout": 0}, "span of time"),
        ("http://host/v1", {"timeout": None}, "timeout"),
    ],
)
def test_a_wrong_endpoint_is_refused_when_given(upstream_given, options, said):
    with pytest.raises(ConfigError, match=said) as raised:
        Endpoint(upstream_given, **{"model": "m", **options})
    assert "sk-secret" not in str(raised.value)


def test_a_client_has_its_own_key(opened):
    client = opened(openai.OpenAI(api_key="k", base_url="http://127.0.0.1:9/v1"))
    with pytest.raises(ConfigError, match="its own key"):
        Endpoint(client, "m", api_key="k")


# Remembering


@pytest.fixture
def asked():
    return []


@pytest.fixture
def counted(asked):
    """An embedder that says what it was asked."""

    def embed(texts):
        asked.append(texts)
        return hashed(texts)

    return Function(embed, name="hashed-1", dimension=16)


def test_only_what_is_missing_is_asked_for_and_once(asked, counted):
    embedder = Remembering(counted)
    embedder.embed(["a", "b"])
    made = embedder.embed(["c", "a", "c", "d", "b"])
    assert asked == [["a", "b"], ["c", "d"]]
    assert numpy.abs(made - numpy.array(hashed("cacdb"))).max() < 1e-6


def test_nothing_is_asked_for_what_is_remembered(asked, counted):
    embedder = Remembering(counted)
    first = embedder.embed(["a"])
    assert embedder.embed(["a"]).tobytes() == first.tobytes()
    assert asked == [["a"]]


def test_texts_that_differ_in_a_blank_are_not_one(asked, counted):
    embedder = Remembering(counted)
    embedder.embed(["a", "a ", "A"])
    assert asked == [["a", "a ", "A"]]


def test_a_failure_is_not_remembered(asked):
    replies = [LookupError("down"), [[1.0, 0.0]]]

    def embed(texts):
        asked.append(texts)
        reply = replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    embedder = Remembering(Function(embed, name="m", dimension=2))
    with pytest.raises(LookupError):
        embedder.embed(["a"])
    assert embedder.embed(["a"]).tolist() == [[1, 0]]
    assert asked == [["a"], ["a"]]


def test_what_was_used_least_recently_goes_first(asked, counted):
    from askonce.embedders.remembering import weight

    one = weight("a", bytes(64))
    embedder = Remembering(counted, limit=2 * one)
    for text in "abacab":
        embedder.embed([text])
    assert asked == [["a"], ["b"], ["c"], ["b"]]


def test_its_bytes_are_bounded():
    limit = 400_000
    embedder = Remembering(Function(hashed, name="hashed-1", dimension=16), limit=limit)
    embedder.embed(["warm"])
    tracemalloc.start()
    for number in range(3000):
        embedder.embed([f"a text of some length, number {number}"])
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.5 * limit < taken < 1.2 * limit


def test_its_name_is_that_of_what_it_remembers(counted):
    embedder = Remembering(counted)
    assert (embedder.name, embedder.dimension) == (counted.name, 16)


def test_a_wrong_limit_is_refused(counted):
    with pytest.raises(ConfigError, match="not a size"):
        Remembering(counted, limit=0)
