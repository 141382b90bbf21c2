"""What every embedder promises, as tests. One of your own proves itself in three lines:

class TestMyEmbedder(EmbedderContract):
    def make_embedder(self) -> Embedder:
        return MyEmbedder()

"""  # noqa: D400

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy
import pytest

from askonce.semantic.contract import Embedder

TEXTS = (
    "How do I cancel my order?",
    "What is the capital of France?",
    "What is the capital of Germany?",
    "Why is the sky blue?",
    "Which of the two cards has the lower yearly fee, and what does it cost to use abroad?",
    "How do I cancel my order, and when is the money for it back on my account?",
)

ODD = (
    "caf\u00e9 na\u00efve \u00fcber",
    "line\nbreak\tand tab",
    "quotes ' \" and a \\ in C:\\new",
    "5 km, 3.5 % and $20?",
    " spaces  around ",
    "x",
)


class EmbedderContract:
    """The promises. A subclass says how its embedder is made."""

    batch_moves: ClassVar[float] = 1e-5
    """How far a number of a vector may move with what else is in the batch."""

    def make_embedder(self) -> Embedder:
        """Make an embedder that nothing was asked of yet."""
        raise NotImplementedError

    @pytest.fixture
    def embedder(self) -> Embedder:
        """Hand out an embedder."""
        return self.make_embedder()

    def test_a_text_is_a_row_of_its_dimension(self, embedder: Embedder) -> None:
        vectors = embedder.embed(TEXTS)
        assert isinstance(vectors, numpy.ndarray)
        assert vectors.shape == (len(TEXTS), embedder.dimension)

    def test_numbers_are_of_32_bits(self, embedder: Embedder) -> None:
        assert embedder.embed(TEXTS[:1]).dtype == numpy.float32

    @pytest.mark.parametrize("text", TEXTS + ODD)
    def test_every_vector_is_finite_and_of_length_1(self, embedder: Embedder, text: str) -> None:
        vector = embedder.embed([text])[0]
        assert numpy.isfinite(vector).all()
        assert numpy.linalg.norm(vector) == pytest.approx(1, abs=1e-4)

    def test_no_texts_are_no_rows(self, embedder: Embedder) -> None:
        assert embedder.embed([]).shape == (0, embedder.dimension)

    def test_rows_stand_in_the_order_of_their_texts(self, embedder: Embedder) -> None:
        forth, back = embedder.embed(TEXTS), embedder.embed(TEXTS[::-1])
        assert numpy.abs(forth - back[::-1]).max() <= self.batch_moves

    def test_a_text_has_one_vector_alone_and_among_others(self, embedder: Embedder) -> None:
        alone = numpy.concatenate([self.make_embedder().embed([text]) for text in TEXTS])
        assert numpy.abs(embedder.embed(TEXTS) - alone).max() <= self.batch_moves

    def test_a_text_given_twice_has_one_vector(self, embedder: Embedder) -> None:
        first, _, again = embedder.embed([TEXTS[0], TEXTS[1], TEXTS[0]])
        assert numpy.abs(first - again).max() <= self.batch_moves

    def test_another_text_has_another_vector(self, embedder: Embedder) -> None:
        vectors = embedder.embed(TEXTS)
        cosines = vectors @ vectors.T - 2 * numpy.eye(len(TEXTS))
        assert cosines.max() < 0.999

    def test_many_texts_come_back_whole(self, embedder: Embedder) -> None:
        texts = [f"What does item number {number} cost?" for number in range(300)]
        vectors = embedder.embed(texts)
        assert vectors.shape == (300, embedder.dimension)
        for place in (0, 127, 128, 299):
            alone = embedder.embed([texts[place]])[0]
            assert numpy.abs(vectors[place] - alone).max() <= self.batch_moves

    def test_texts_may_be_any_sequence(self, embedder: Embedder) -> None:
        listed, tupled = embedder.embed(list(TEXTS[:2])), embedder.embed(tuple(TEXTS[:2]))
        assert numpy.abs(listed - tupled).max() <= self.batch_moves

    def test_what_is_done_to_a_vector_changes_no_other(self, embedder: Embedder) -> None:
        first = embedder.embed(TEXTS[:1])
        kept = first.copy()
        first *= 0
        assert numpy.abs(embedder.embed(TEXTS[:1]) - kept).max() <= self.batch_moves

    def test_threads_may_share_it(self, embedder: Embedder) -> None:
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(embedder.embed, [[text] for text in TEXTS * 8]))
        alone = self.make_embedder().embed(TEXTS)
        for place, vector in enumerate(made):
            assert numpy.abs(vector[0] - alone[place % len(TEXTS)]).max() <= self.batch_moves

    def test_its_name_and_dimension_stay(self, embedder: Embedder) -> None:
        before = (embedder.name, embedder.dimension)
        embedder.embed(TEXTS)
        other = self.make_embedder()
        assert before == (embedder.name, embedder.dimension) == (other.name, other.dimension)
        assert before[0]
        assert before[1] > 0

    def test_what_is_no_text_in_unicode_harms_nothing(self, embedder: Embedder) -> None:
        """Half of a surrogate pair has no UTF-8: a vector or an error, and the next text works."""
        try:
            vectors = embedder.embed(["half \ud83d of a pair"])
        except Exception:  # noqa: BLE001 (any error will do: whoever asked takes it for a miss)
            vectors = embedder.embed(TEXTS[:1])
        assert vectors.shape == (1, embedder.dimension)
