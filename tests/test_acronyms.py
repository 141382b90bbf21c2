"""An acronym is what an entry says it is, in the field that the entry is about."""

from __future__ import annotations

import pytest

from askonce.semantic import acronyms
from askonce.semantic.acronyms import asked, names
from askonce.semantic.definitions import Definition, definitions
from askonce.semantic.disciplines import is_about, named

RAG = (
    "Retrieval-Augmented Generation (RAG) is a technique that combines a large language model with "
    "an external knowledge source. Instead of relying only on what the model learned in training, "
    "the system first retrieves relevant documents and passes them to the model as context.",
    "**Retrieval-augmented generation**, or **RAG**, is an approach in artificial intelligence in "
    "which an LLM looks things up before it answers. A retriever searches a document store, usually "
    "with embeddings, and the passages found are added to the prompt.",
    "RAG stands for Retrieval-Augmented Generation. It's an architecture for AI applications in "
    "which a generative model is given facts fetched from a database at the time of the query. It "
    "is used in healthcare, finance and customer support.",
    "Retrieval-Augmented Generation is a way to make language models more accurate.\n\n1. **Retrieve**: "
    "find passages relevant to the question.\n2. **Augment**: add them to the prompt.\n3. "
    "**Generate**: let the model write the answer.\n\nRAG was introduced by Lewis et al. in 2020.",
    "Retrieval-augmented generation is a method that improves the output of large language models "
    "by letting them consult an authoritative knowledge base outside their training data before "
    "they generate a response.",
)
"""Five ways in which a model may answer. The last never says RAG."""

OTHERS = {
    "What is a RAG status report?": (
        "A RAG status report shows the state of a project with traffic-light colors: RAG stands for "
        "Red, Amber, Green. Green means on schedule, amber at risk, red in need of action by "
        "stakeholders."
    ),
    "What is Red Amber Green?": (
        "Red, Amber, Green (RAG) is a rating used in project status reports. Green says that a "
        "milestone is on schedule, amber that it is at risk, red that stakeholders must act."
    ),
    "What is a recombination activating gene?": (
        "Recombination-activating genes (RAGs) encode enzymes that rearrange the genes of antibodies "
        "and receptors in lymphocytes, a key step in the development of the immune system."
    ),
    "What is natural language processing?": (
        "Natural Language Processing (NLP) is a branch of artificial intelligence that helps "
        "computers understand text. Models are trained for translation, chatbots and sentiment."
    ),
    "What is neuro-linguistic programming?": (
        "Neuro-linguistic programming (NLP) is a set of techniques for coaching and self-help from "
        "the 1970s. It claims a link between the mind, language and habits; psychologists mostly "
        "regard it as pseudoscience."
    ),
    "What is a convolutional neural network?": (
        "A convolutional neural network, or CNN, is a deep learning model for images. Convolution "
        "layers learn filters over pixels; it is trained for classification and detection."
    ),
    "What is Cable News Network?": (
        "Cable News Network (CNN) is an American news channel founded in 1980 by Ted Turner in "
        "Atlanta, the first television channel with 24-hour news coverage."
    ),
    "What is return on investment?": (
        "Return on investment (ROI) measures the profit of an investment relative to its cost. "
        "Investors use it to compare the efficiency of several investments."
    ),
    "What is a region of interest?": (
        "A region of interest (ROI) is a part of an image that is selected for further analysis. "
        "In computer vision a model may process only the pixels of that region."
    ),
    "What is adenosine triphosphate?": (
        "Adenosine triphosphate (ATP) is the molecule that carries energy in the cells of every "
        "organism. Mitochondria make it; its hydrolysis drives muscle and enzyme reactions."
    ),
    "What is Association of Tennis Professionals?": (
        "The Association of Tennis Professionals (ATP) governs men's professional tennis. It runs "
        "the tour of tournaments and the ranking of players."
    ),
    "What is principal component analysis?": (
        "Principal Component Analysis (PCA) is a statistical method that reduces the dimensionality "
        "of a dataset. It finds orthogonal components, the eigenvectors of the covariance matrix, "
        "that keep most of the variance."
    ),
    "What is patient-controlled analgesia?": (
        "Patient-controlled analgesia (PCA) lets patients give themselves a dose of pain medication, "
        "often morphine, through a pump, within limits set by clinicians."
    ),
    "What is a minimum viable product?": (
        "A minimum viable product (MVP) is the first version of a product with just enough features "
        "for early customers, so that a startup gets feedback before it builds more."
    ),
    "What is a most valuable player?": (
        "Most Valuable Player (MVP) is an award for the best player of a season in sports leagues "
        "such as the NBA and MLB."
    ),
    "What is mitral valve prolapse?": (
        "Mitral valve prolapse (MVP) is a condition of the heart in which the valve between the "
        "left chambers does not close well. Patients may feel palpitations; a doctor finds it with "
        "an echocardiogram."
    ),
}

FIELDS = {
    "What is natural language processing?": ("NLP", ["AI", "artificial intelligence"]),
    "What is neuro-linguistic programming?": ("NLP", ["psychology", "coaching"]),
    "What is a convolutional neural network?": ("CNN", ["AI", "deep learning"]),
    "What is return on investment?": ("ROI", ["finance", "investing"]),
    "What is a region of interest?": ("ROI", ["computer vision"]),
    "What is adenosine triphosphate?": ("ATP", ["biology"]),
    "What is Association of Tennis Professionals?": ("ATP", ["sports", "tennis"]),
    "What is principal component analysis?": ("PCA", ["statistics"]),
    "What is patient-controlled analgesia?": ("PCA", ["medicine", "healthcare"]),
    "What is a minimum viable product?": ("MVP", ["business", "startups"]),
    "What is a most valuable player?": ("MVP", ["sports"]),
    "What is mitral valve prolapse?": ("MVP", ["medicine"]),
    "What is Red Amber Green?": ("RAG", ["project management"]),
    "What is a recombination activating gene?": ("RAG", ["biology"]),
}
"""For each question the acronym and the fields in which it is meant."""

ASKED_IN = (
    "What is {} in {}?",
    "Can you explain {} in {}?",
    "Please tell me what {} is in {}",
)
ALL_FIELDS = (
    "AI",
    "deep learning",
    "finance",
    "marketing",
    "medicine",
    "healthcare",
    "biology",
    "immunology",
    "psychology",
    "statistics",
    "sports",
    "basketball",
    "tennis",
    "project management",
    "business",
    "journalism",
    "chemistry",
    "physics",
    "law",
    "education",
    "aviation",
    "religion",
)
NEVER = (
    "What is {}?",
    "Explain {}",
    "{}",
    "What does {} mean in {field}?",
    "What does {} stand for in {field}?",
    "How does {} work in {field}?",
    "Why is {} used in {field}?",
    "What are the benefits of {} in {field}?",
    "Explain {} in one sentence",
    "Explain {} in {field} in one sentence",
    "Explain {} in {field} for beginners",
    "Explain {} in French",
    "What is the latest {} in {field}?",
    "What is {} 2.0 in {field}?",
    "What is not {} in {field}?",
    "What is {} in {field} and finance?",
    "What is a good {} in {field}?",
    "What is {} in {field}, and who invented it?",
)


def is_found(query, question, answer):
    """Say whether a query finds an entry, as the lookup does."""
    sought = asked(query)
    if sought is None or sought.key not in names(question, answer):
        return False
    return not sought.field or acronyms.agrees(sought.field, question, answer)


# The pair that the project began with


def test_rag_in_ai_is_found_after_at_least_four_of_five_natural_answers():
    question = "What is Retrieval-Augmented Generation?"
    found = [is_found("Can you explain RAG in AI?", question, answer) for answer in RAG]
    assert sum(found) >= 4
    assert not found[-1]  # it never says RAG


@pytest.mark.parametrize(
    "query",
    [
        "What is RAG?",
        "Can you explain RAG?",
        "What is a rag?",
        "Can you explain rag in AI?",
        "Explain RAG in one sentence",
        "Explain RAG in AI in one sentence",
        "Can you explain RAG in project management?",
        "Can you explain RAG in immunology?",
        "Can you explain RAG in healthcare?",
        "Can you explain RAG in finance?",
        "What does RAG mean in AI?",
        "How does RAG work in AI?",
        "What is graph RAG in AI?",
        "What is RAG in AI today?",
    ],
)
def test_no_other_rag_is_found(query):
    question = "What is Retrieval-Augmented Generation?"
    assert not any(is_found(query, question, answer) for answer in RAG)


def test_a_long_name_finds_the_entry_that_was_asked_for_by_its_acronym():
    for answer in RAG[:3]:
        assert is_found("What is Retrieval-Augmented Generation?", "What is RAG?", answer)


# Seven acronyms in all their senses


def right():
    for question, (acronym, fields) in FIELDS.items():
        for field in fields:
            for form in ASKED_IN:
                yield form.format(acronym, field), question


def wrong():
    for question, (acronym, fields) in FIELDS.items():
        its = {named(field) for field in fields}
        for field in ALL_FIELDS:
            other = named(field)
            if other not in its and other.partition("/")[0] not in {
                one.partition("/")[0] for one in its
            }:
                yield f"What is {acronym} in {field}?", question
                yield f"Tell me about {acronym} in the field of {field}", question
        for form in NEVER:
            yield form.format(acronym, field=fields[0]), question


def test_each_sense_is_found_in_its_own_field():
    queries = list(right())
    missed = [
        query for query, question in queries if not is_found(query, question, OTHERS[question])
    ]
    assert len(queries) >= 60
    assert not missed


def test_no_sense_is_found_in_the_field_of_another():
    queries = list(wrong())
    found = [pair for pair in queries if is_found(*pair, OTHERS[pair[1]])]
    assert len(queries) >= 100
    assert not found


def test_what_finds_one_sense_finds_no_other():
    found = [
        (query, other)
        for query, question in right()
        for other, answer in OTHERS.items()
        if other != question and is_found(query, other, answer)
    ]
    assert not found


def test_an_answer_that_names_another_use_in_passing_is_about_its_own_field():
    assert is_about(RAG[2], "ai")
    assert not is_about(RAG[2], "medicine")
    assert not is_about(RAG[2], "finance")


def test_a_part_of_a_field_must_be_named_by_the_answer():
    cnn = OTHERS["What is a convolutional neural network?"]
    assert is_about(cnn, "ai/deep learning")
    assert not is_about(cnn, "ai/data science")


def test_where_words_decide_nothing_the_nearest_field_does_and_only_by_far():
    answer = "A prompt is a project."  # one word each
    near = {"AI": 0.5, "project": 0.2}
    cosine = lambda _, field: max((c for name, c in near.items() if name in field), default=0.1)  # noqa: E731 (one line)
    assert not is_about(answer, "ai")
    assert is_about(answer, "ai", cosine)
    near["project"] = 0.47
    assert not is_about(answer, "ai", cosine)
    assert not is_about("Nothing of the kind.", "ai", lambda _, field: float("AI" in field))


# What an entry is found by


def test_an_entry_about_something_more_has_no_name():
    answer = RAG[0]
    for question in (
        "How does Retrieval-Augmented Generation work?",
        "What is Retrieval-Augmented Generation used for?",
        "What is the cost of Retrieval-Augmented Generation?",
        "Explain Retrieval-Augmented Generation in one sentence",
        "Why is Retrieval-Augmented Generation important?",
        "What does Retrieval-Augmented Generation mean?",
        "Write a poem about Retrieval-Augmented Generation",
    ):
        assert "acronym RAG" not in names(question, answer)


def test_an_answer_with_several_senses_names_none():
    answer = (
        "RAG can mean several things: Retrieval-Augmented Generation (RAG) in AI, and Red, Amber, "
        "Green in projects. RAG stands for Recombination-Activating Gene in biology."
    )
    assert names("What is RAG?", answer) == []


@pytest.mark.parametrize(
    "answer",
    [
        "I'm not familiar with that as an established term in AI. It might describe a language model.",
        "I couldn't find Rapid Answer Generation; it might be a variant of RAG in machine learning.",
        "There is no widely known concept of that name. AI systems that retrieve are called RAG.",
        "Rapid Answer Generation isn't a standard term in artificial intelligence.",
    ],
)
def test_an_answer_that_does_not_know_the_thing_defines_nothing(answer):
    assert names("What is Rapid Answer Generation (RAG)?", answer) == []


def test_answers_that_state_one_long_form_are_one_sense_and_others_are_not():
    sought = asked("What is LDA in AI?")
    one = "Latent Dirichlet allocation (LDA) is a topic model."
    again = "In NLP, latent Dirichlet allocation (LDA) finds topics."
    other = "Linear discriminant analysis (LDA) separates classes."
    assert acronyms.is_one_sense(sought, [one])
    assert acronyms.is_one_sense(sought, [one, again])
    assert not acronyms.is_one_sense(sought, [one, other])
    assert not acronyms.is_one_sense(sought, [one, "It is a topic model."])


@pytest.mark.parametrize("text", ["What is ED in medicine?", "What is a CD in computing?"])
def test_an_acronym_of_two_letters_means_too_much(text):
    assert asked(text) is None


def test_an_acronym_of_something_else_in_the_answer_is_no_name():
    answer = "Retrieval-Augmented Generation (RAG) is used with a large language model (LLM)."
    found = names("What is Retrieval-Augmented Generation?", answer)
    assert found == ["thing retrieval augmented generation", "acronym RAG"]


def test_an_entry_asked_in_a_field_is_found_in_that_field_alone():
    answer = "Return on investment (ROI) is the profit of an investment relative to its cost."
    question = "What is ROI in finance?"
    assert is_found("Explain ROI in finance", question, answer)
    assert not is_found("Explain ROI in marketing", question, answer)
    assert not is_found("What is return on investment?", question, answer)


@pytest.mark.parametrize(
    ("text", "acronym", "long"),
    [
        ("Adenosine triphosphate (ATP) is ...", "ATP", "adenosine triphosphate"),
        ("ATP (adenosine triphosphate) is ...", "ATP", "adenosine triphosphate"),
        ("It uses convolutional neural networks (CNNs).", "CNN", "convolutional neural network"),
        ("RAG stands for Retrieval-Augmented Generation.", "RAG", "retrieval augmented generation"),
        ("**RAG** is short for *retrieval-augmented generation*", "RAG", None),
        ("RAG is an acronym for retrieval-augmented generation", "RAG", None),
        ("Retrieval-augmented generation, or RAG, is ...", "RAG", None),
        ("Retrieval-augmented generation (often abbreviated as RAG) is ...", "RAG", None),
        ("Retrieval-augmented generation, also known as RAG, is ...", "RAG", None),
        ("Retrieval-augmented generation, RAG for short, is ...", "RAG", None),
        ("Retrieval-augmented generation \u2014 commonly known as RAG \u2014 is ...", "RAG", None),
        ("Return on investment (ROI) is ...", "ROI", "return on investment"),
        ("The Internet of Things (IoT) is ...", "IoT", "internet of thing"),
    ],
)
def test_a_definition_is_read_as_it_is_stated(text, acronym, long):
    expected = Definition(acronym, long or "retrieval augmented generation")
    assert definitions("What is it?", text) == {expected}


@pytest.mark.parametrize(
    "text",
    [
        "The model (GPT) was trained in 2020.",
        "He lives in Paris (France).",
        "Use the API (see below).",
        "It costs 20 dollars (USD).",
        "RAG stands for quality.",
        "There are many things, or RAG.",
        "",
    ],
)
def test_what_is_no_definition_defines_nothing(text):
    assert definitions("What is it?", text) == frozenset()


def test_any_text_is_read_without_an_error():
    for text in (
        "(",
        "()",
        "(A)",
        "A (B (C) D)",
        "RAG stands for",
        "\x00",
        "(" * 500,
        "is (AI)" * 99,
    ):
        assert isinstance(definitions(text, text), frozenset)
        assert asked(text) is None
        assert names(text, text) == []
