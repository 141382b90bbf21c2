"""Families of made-up questions: groups of wordings of one meaning, beside groups of others.

A family returns a list of groups. Two wordings of one group have the same answer; a wording of one
group and a wording of another have not, however alike they read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import lexicon as words

# fmt: off: a row of a table reads best on one line
Family = Callable[[Random], list[list[str]]]

WHAT_IS = [
    "What is {x}?",
    "What's {x}?",
    "Can you explain {x}?",
    "Could you explain {x}?",
    "Explain {x}",
    "Explain {x}.",
    "Please explain {x}.",
    "Can you explain what {x} is?",
    "Can you tell me what {x} is?",
    "Tell me what {x} is.",
    "Tell me about {x}.",
    "Can you tell me about {x}?",
    "What exactly is {x}?",
    "I want to know what {x} is.",
    "I would like to understand what {x} is.",
    "Help me understand {x}.",
    "Describe {x}.",
    "Can you describe {x}?",
    "What is meant by {x}?",
    "Give me an explanation of {x}.",
    "Explain to me what {x} is",
    "what is {x}",
    "whats {x}?",
    "Could you please tell me what {x} is?",
    "What do we mean by {x}?",
    "Can someone explain {x}?",
    "Define {x}.",
    "What is the definition of {x}?",
    "What does {x} mean?",
    "What is the meaning of {x}?",
    "Meaning of {x}?",
    "How would you explain {x}?",
    "How would you define {x}?",
    "What does the term {x} mean?",
    "Do you know what {x} is?",
    "Can you explain to me what {x} is?",
    "What are we talking about when we say {x}?",
    "{x} explained?",
]
ABOUT = [
    [
        "How does {x} work?",
        "Can you explain how {x} works?",
        "Explain how {x} works.",
        "Tell me how {x} works.",
    ],
    [
        "What are the advantages of {x}?",
        "What are the benefits of {x}?",
        "Which benefits does {x} have?",
    ],
    [
        "What are the disadvantages of {x}?",
        "What are the drawbacks of {x}?",
        "Which drawbacks does {x} have?",
    ],
    ["Why is {x} important?", "Why does {x} matter?", "What makes {x} important?"],
    [
        "What is the history of {x}?",
        "Tell me the history of {x}.",
        "Can you tell me about the history of {x}?",
    ],
    ["Who invented {x}?", "Who came up with {x}?", "Who was {x} invented by?"],
    ["When was {x} invented?", "In which year was {x} invented?", "What year was {x} invented in?"],
    [
        "What are some examples of {x}?",
        "Can you give me examples of {x}?",
        "Give some examples of {x}.",
    ],
    ["What are the types of {x}?", "What kinds of {x} are there?", "Which types of {x} exist?"],
    ["How do I learn {x}?", "How can I learn about {x}?", "What is a good way to learn {x}?"],
    [
        "What are alternatives to {x}?",
        "What can I use instead of {x}?",
        "Which alternatives to {x} are there?",
    ],
    [
        "How much does {x} cost?",
        "What does {x} cost?",
        "What is the cost of {x}?",
        "What is the price of {x}?",
    ],
    [
        "What is the purpose of {x}?",
        "What is {x} used for?",
        "What is {x} for?",
        "What do people use {x} for?",
    ],
    [
        "When should I use {x}?",
        "In which cases should {x} be used?",
        "When is it right to use {x}?",
    ],
    [
        "When should I not use {x}?",
        "In which cases should {x} not be used?",
        "When should {x} be avoided?",
    ],
    ["Is {x} dangerous?", "Is there any danger in {x}?"],
    ["Is {x} necessary?", "Do we need {x}?"],
    ["What is the opposite of {x}?", "Which is the opposite of {x}?"],
    ["What causes {x}?", "What is the cause of {x}?"],
    [
        "What is the future of {x}?",
        "What does the future of {x} look like?",
        "What will {x} be like in the future?",
    ],
    ["How do I explain {x} to a child?", "How can {x} be explained to a child?"],
    ["Where does the word {x} come from?", "What is the origin of the word {x}?"],
]
HOW_TO = [
    "How do I {do}?",
    "How can I {do}?",
    "How do you {do}?",
    "How to {do}?",
    "how to {do}",
    "How should I {do}?",
    "What is the way to {do}?",
    "What are the steps to {do}?",
    "Can you tell me how to {do}?",
    "How would I {do}?",
    "What do I have to do to {do}?",
    "What should I do to {do}?",
    "What steps do I take to {do}?",
    "How does one {do}?",
    "Can you explain how to {do}?",
    "Could you explain how I {do}?",
    "Please tell me how I can {do}.",
    "I want to {do}. How do I do it?",
    "I need to {do}, how?",
    "Show me how to {do}.",
    "Explain how to {do}.",
    "Can you help me {do}?",
    "I'd like to {do}, can you tell me how?",
    "What is the procedure to {do}?",
]
NOT_HOW = [
    ["Why should I {do}?", "What reason is there to {do}?", "For which reasons should I {do}?"],
    ["Should I {do}?", "Do you think I should {do}?", "Is it a good idea to {do}?"],
    [
        "How much does it cost to {do}?",
        "What does it cost to {do}?",
        "What is the price if I {do}?",
    ],
    [
        "How long does it take to {do}?",
        "How much time does it take to {do}?",
        "How much time do I need to {do}?",
    ],
    ["When should I {do}?", "At what time should I {do}?", "When is the right time to {do}?"],
    [
        "What happens if I {do}?",
        "What will happen when I {do}?",
        "What are the consequences if I {do}?",
    ],
    ["What happens if I don't {do}?", "What will happen when I do not {do}?"],
    ["Where can I {do}?", "Where is it possible to {do}?", "In which place can I {do}?"],
    ["Who can {do} for me?", "Who could help me and {do}?"],
    ["How do I avoid having to {do}?"],
    ["Why can't I {do}?", "Why am I unable to {do}?", "What is the reason that I cannot {do}?"],
    ["How often should I {do}?", "How many times should I {do}?"],
    ["Is it legal to {do}?", "Does the law allow me to {do}?"],
    ["Is it safe to {do}?", "Can I safely {do}?"],
    ["Is it safe not to {do}?", "Can I safely not {do}?"],
    ["How do I {do} for free?", "How can I {do} without paying?"],
    ["Can I {do} twice?"],
    ["Did I {do}?"],
]


def some(rng: Random, of: Sequence[str], count: int) -> list[str]:
    """Return different members."""
    return rng.sample(of, min(count, len(of)))


def filled(frames: Sequence[str], **slots: str) -> list[str]:
    """Return the frames with their slots filled."""
    return [frame.format(**slots) for frame in frames]


def _bare(thing: str) -> str:
    return thing.partition(" ")[2] if thing.startswith(("a ", "an ")) else thing


def _about(frames: Sequence[str], thing: str) -> list[str]:
    """Fill frames, without an article where they ask for a word or a kind."""
    kinds = (
        "kinds",
        "types",
        "Types",
        "examples",
        "term",
        "word",
        "mean?",
        "alternatives",
        "opposite",
    )
    return [
        frame.format(x=_bare(thing) if any(k in frame for k in kinds) else thing)
        for frame in frames
    ]


def definitions(rng: Random, topics: Sequence[str] = words.CONCEPTS) -> list[list[str]]:
    """What something is, against what else can be asked about it and against other things."""
    one, other = some(rng, topics, 2)
    groups = [_about(WHAT_IS, one), _about(WHAT_IS, other)]
    groups += [_about(about, one) for about in rng.sample(ABOUT, 3)]
    modifier, another = some(rng, words.MODIFIERS, 2)
    asked = [frame for frame in groups[0] if len(frame) > 12]
    groups.append([f"{frame.rstrip('?.')} {modifier}{rng.choice('?.')}" for frame in asked[:20]])
    groups.append([f"{frame.rstrip('?.')} {another}?" for frame in asked[:20]])
    field = rng.choice(words.FIELDS)
    groups.append([f"{frame.rstrip('?.')} in {field}?" for frame in asked[:14]])
    return groups


def how_to(rng: Random) -> list[list[str]]:
    """How to do something, against other deeds, other things and other questions about it."""
    do, another = rng.sample(words.ACTIONS, 2)
    thing, other = some(rng, words.THINGS, 2)
    product, else_where = some(rng, words.PRODUCTS, 2)
    where = rng.choice(["", f" in {product}", f" on {product}"])
    deeds = [f"{verb} {rng.choice(['my', 'a', 'the', 'this'])} {thing}{where}" for verb in do]
    my = [deed.split(" ", 1) for deed in deeds]
    deed = deeds[0]
    groups = [filled(HOW_TO, do=deed)]
    if len(do) > 1:
        same = f"{do[1]} {deed[len(do[0]) + 1 :]}"
        groups[0] += filled(HOW_TO, do=same)
    groups.append(filled(HOW_TO, do=f"{another[0]} {my[0][1]}"))
    groups.append(filled(HOW_TO, do=f"{deed.replace(thing, other)}"))
    if where:
        groups.append(filled(HOW_TO, do=deed.replace(product, else_where)))
    groups += [filled(frames, do=deed) for frames in rng.sample(NOT_HOW, 4)]
    return groups


def opposites(rng: Random) -> list[list[str]]:
    """Deeds against their opposites, in every dress of a question."""
    pair = [row for row in words.ANTONYMS if row[0] in OPPOSITE_DEEDS]
    one, other = rng.sample(rng.choice(pair), 2)
    thing = rng.choice(
        [*words.THINGS, "dark mode", "two-factor authentication", "notifications", "location"]
    )
    where = rng.choice(
        ["", f" in {rng.choice(words.PRODUCTS)}", f" on my {rng.choice(words.PRODUCTS)}"]
    )
    the = rng.choice(["my ", "the ", ""])
    return [
        filled(HOW_TO, do=f"{one} {the}{thing}{where}"),
        filled(HOW_TO, do=f"{other} {the}{thing}{where}"),
        filled(rng.choice(NOT_HOW), do=f"{one} {the}{thing}{where}"),
        filled(rng.choice(NOT_HOW[:3]), do=f"{other} {the}{thing}{where}"),
    ]


OPPOSITE_DEEDS = {row[0] for row in words.ANTONYMS[:38]}


def _noun(rng: Random) -> tuple[str, str]:
    """Return two people, or two kinds of creatures, or two other things of one kind."""
    of = rng.choice(
        [words.PEOPLE, words.PEOPLE, words.PLURALS, words.COUNTRIES, words.COMPANIES, words.FAMOUS]
    )
    if of is words.PEOPLE and rng.random() < 0.4:
        first, second = some(rng, words.PEOPLE, 2)
        return f"{first} {rng.choice(words.SURNAMES)}", f"{second} {rng.choice(words.SURNAMES)}"
    one, other = some(rng, of, 2)
    return one, other


def roles(rng: Random) -> list[list[str]]:
    """Who does what to whom: the passive that says so, and those that turn it round."""
    a, b = _noun(rng)
    verb, done = rng.choice(words.TRANSITIVE)
    many = a in words.PLURALS
    do, be, was = ("Do", "Are", "Were") if many else ("Does", "Is", "Was")
    kind = rng.randrange(5)
    if kind == 0:
        return [
            [
                f"{do} {a} {verb} {b}?",
                f"{be} {b} {done} by {a}?",
                f"Is it true that {b} {be.lower()} {done} by {a}?",
            ],
            [
                f"{do} {b} {verb} {a}?",
                f"{be} {a} {done} by {b}?",
                f"Is it true that {a} {be.lower()} {done} by {b}?",
            ],
        ]
    if kind == 1:
        return [
            [
                f"Did {a} {verb} {b}?",
                f"{was} {b} {done} by {a}?",
                f"Is it true that {a} {done if done.endswith('ed') else 'did ' + verb} {b}?",
            ],
            [f"Did {b} {verb} {a}?", f"{was} {a} {done} by {b}?", f"Has {b} ever {done} {a}?"],
        ]
    if kind == 2:
        return [
            [
                f"Why did {a} {verb} {b}?",
                f"Why {was.lower()} {b} {done} by {a}?",
                f"For which reason did {a} {verb} {b}?",
                f"What made {a} {verb} {b}?",
            ],
            [
                f"Why did {b} {verb} {a}?",
                f"Why {was.lower()} {a} {done} by {b}?",
                f"For which reason did {b} {verb} {a}?",
                f"What made {b} {verb} {a}?",
            ],
            [f"When did {a} {verb} {b}?", f"When {was.lower()} {b} {done} by {a}?"],
            [
                f"Why didn't {a} {verb} {b}?",
                f"Why did {a} not {verb} {b}?",
                f"Why {was.lower()} {b} not {done} by {a}?",
            ],
        ]
    if kind == 3:
        relation = rng.choice(words.RELATIONS)
        return [
            [
                f"{be} {a} {relation} {b}?",
                f"Is it true that {a} {be.lower()} {relation} {b}?",
                f"Would you say that {a} {be.lower()} {relation} {b}?",
            ],
            [
                f"{be} {b} {relation} {a}?",
                f"Is it true that {b} {be.lower()} {relation} {a}?",
                f"Would you say that {b} {be.lower()} {relation} {a}?",
            ],
            [
                f"Why {be.lower()} {a} {relation} {b}?",
                f"What is the reason that {a} {be.lower()} {relation} {b}?",
            ],
            [
                f"Why {be.lower()} {b} {relation} {a}?",
                f"What is the reason that {b} {be.lower()} {relation} {a}?",
            ],
        ]
    thing = rng.choice(words.THINGS)
    act = rng.choice(
        [
            "find/found",
            "use/used",
            "see/seen",
            "clean/cleaned",
            "break/broken",
            "sell/sold",
            "buy/bought",
            "move/moved",
            "open/opened",
        ]
    ).split("/")
    return [
        [f"Did {a} {act[0]} the {thing}?", f"Was the {thing} {act[1]} by {a}?"],
        [f"Was {a} {act[1]} by the {thing}?", f"Did the {thing} {act[0]} {a}?"],
        [f"Did {b} {act[0]} the {thing}?", f"Was the {thing} {act[1]} by {b}?"],
    ]


def symmetric(rng: Random) -> list[list[str]]:
    """Pairs whose order says nothing."""
    a, b = _noun(rng)
    be = "Are" if a in words.PLURALS else "Is"
    relation = rng.choice(words.SYMMETRIC)
    quality = rng.choice(
        "cheaper better faster safer bigger stronger healthier older smarter".split()
    )
    kind = rng.randrange(5)
    if kind == 0:
        return [
            [f"{be} {a} {relation} {b}?", f"{be} {b} {relation} {a}?"],
            [f"Was {a} once {relation} {b}?"],
        ]
    if kind == 1:
        groups = [f"What is the difference between {p} and {q}?" for p, q in ((a, b), (b, a))]
        groups += [
            f"What's the difference between {a} and {b}?",
            f"How do {a} and {b} differ?",
            f"How do {b} and {a} differ?",
        ]
        groups += [
            f"What are the differences between {b} and {a}?",
            f"In what do {a} and {b} differ?",
        ]
        return [
            groups,
            [f"What do {a} and {b} have in common?", f"What do {b} and {a} have in common?"],
        ]
    if kind == 2:
        return [
            [
                f"Which is {quality}, {a} or {b}?",
                f"Which is {quality}, {b} or {a}?",
                f"What is {quality}, {b} or {a}?",
                f"Which one is {quality}: {a} or {b}?",
            ],
            [f"Why is {a} {quality} than {b}?", f"What makes {a} {quality} than {b}?"],
            [f"Why is {b} {quality} than {a}?", f"What makes {b} {quality} than {a}?"],
        ]
    if kind == 3:
        c = rng.choice(words.DRUGS)
        d = rng.choice([x for x in words.DRUGS if x != c])
        e = rng.choice([x for x in words.DRUGS if x not in (c, d)])
        return [
            [
                f"Can I take {c} and {d} together?",
                f"Can I take {d} and {c} together?",
                f"Is it safe to take {c} with {d}?",
                f"Is it safe to combine {d} with {c}?",
            ],
            [f"Can I take {c} and {e} together?", f"Is it safe to take {e} with {c}?"],
            [f"Can I take {c} instead of {d}?", f"Can {c} replace {d}?"],
            [f"Can I take {d} instead of {c}?", f"Can {d} replace {c}?"],
        ]
    return [
        [
            f"How can I become friends with {a} and {b}?",
            f"How can I become friends with {b} and {a}?",
        ],
        [f"How can I become friends with {a} but not with {b}?"],
        [f"How can I become friends with {b} but not with {a}?"],
    ]


def directions(rng: Random) -> list[list[str]]:
    """From one to the other: the order says everything."""
    of = rng.choice(
        [
            words.CITIES,
            words.LANGUAGES,
            words.PROGRAMMING,
            words.PRODUCTS,
            words.COUNTRIES,
            words.COMPANIES,
        ]
    )
    a, b = some(rng, of, 2)
    frames: list[list[str]] = [
        [
            "How do I get from {a} to {b}?",
            "What is the way from {a} to {b}?",
            "How can I travel from {a} to {b}?",
            "How do I reach {b} from {a}?",
        ],
        [
            "How do I migrate from {a} to {b}?",
            "How can I move from {a} to {b}?",
            "How do I switch to {b} from {a}?",
            "What are the steps to migrate from {a} to {b}?",
        ],
        [
            "Should I choose {a} over {b}?",
            "Should I prefer {a} to {b}?",
            "Should I take {a} rather than {b}?",
        ],
        ["How many people move from {a} to {b}?", "How many people leave {a} for {b}?"],
        ["Why did {a} buy {b}?", "What made {a} buy {b}?", "Why was {b} bought by {a}?"],
        [
            "How do I merge {a} into {b}?",
            "How can {a} be merged into {b}?",
            "What is the way to merge {a} into {b}?",
        ],
        [
            "How do I replace {a} with {b}?",
            "How can I use {b} instead of {a}?",
            "How can I replace {a} by {b}?",
        ],
        [
            "How do I convert {a} to {b}?",
            "How can {a} be converted to {b}?",
            "What is the way to convert {a} into {b}?",
        ],
        [
            "When did {a} invade {b}?",
            "When was {b} invaded by {a}?",
            "In which year did {a} invade {b}?",
        ],
        [
            "What does {a} think of {b}?",
            "What is the opinion of {a} about {b}?",
            "What is {a}'s view on {b}?",
        ],
        ["Why is {a} ahead of {b}?", "Why is {b} behind {a}?", "What puts {a} ahead of {b}?"],
        ["Can {a} beat {b}?", "Can {b} be beaten by {a}?", "Is {a} able to beat {b}?"],
        [
            "How long is the flight from {a} to {b}?",
            "How many hours is the flight from {a} to {b}?",
            "How long does it take to fly from {a} to {b}?",
        ],
    ]
    frame = rng.choice(frames)
    c = rng.choice([x for x in of if x not in (a, b)])
    return [filled(frame, a=a, b=b), filled(frame, a=b, b=a), filled(frame, a=a, b=c)]
