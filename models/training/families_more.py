"""More families: numbers, names, places, tiers, negations, conditions. See `families`."""

from __future__ import annotations

from random import Random

import lexicon as words
from families import (
    Family,
    definitions,
    directions,
    filled,
    how_to,
    opposites,
    roles,
    some,
    symmetric,
)


# fmt: off: a row of a table reads best on one line
def numbers(rng: Random) -> list[list[str]]:
    """One number, or its unit, or what is counted."""
    one = rng.choice([rng.randrange(2, 30), rng.randrange(10, 1000), rng.randrange(1, 20) * 5])
    other = rng.choice([one + 1, one * 10, one * 2, max(1, one - 1), one + rng.randrange(2, 90)])
    unit, another = rng.sample(words.UNITS, 2)
    food = rng.choice(words.FOODS)
    frames = rng.choice(
        [
            [
                "How do I lose {n} in a month?",
                "How can I lose {n} in one month?",
                "What is the way to lose {n} within a month?",
            ],
            ["Is {n} of {food} too much?", "Would {n} of {food} be too much?"],
            [
                "What can I do with {n}?",
                "What is possible with {n}?",
                "What could one do with {n}?",
            ],
            ["How far can I get with {n}?", "How far does {n} get me?"],
            [
                "Is {n} enough for a week?",
                "Is {n} sufficient for a week?",
                "Will {n} be enough for one week?",
            ],
            ["Can I store {n} of data?", "Is it possible to store {n} of data?"],
            [
                "What happens after {n}?",
                "What will happen after {n}?",
                "What is going to happen after {n}?",
            ],
            [
                "How much is {n} in {u}?",
                "How many {u} are {n}?",
                "Convert {n} to {u}.",
                "What is {n} in {u}?",
            ],
        ]
    )
    target = rng.choice(words.UNITS)[0]

    def group(number: int, units: list[str]) -> list[str]:
        said = [f"{number} {name}" for name in units]
        if number <= 12:
            said.append(f"{words.WORD_NUMBERS[number - 1]} {units[0]}")
        return [text for amount in said for text in filled(frames, n=amount, food=food, u=target)]

    return [group(one, unit), group(other, unit), group(one, another)]


def years(rng: Random) -> list[list[str]]:
    """One year, or version, or day."""
    one = rng.randrange(1950, 2030)
    other = one + rng.choice([1, -1, 2, 10, -10, 4])
    who, else_who = some(rng, rng.choice([words.COUNTRIES, words.COMPANIES]), 2)
    frames = rng.choice(
        [
            [
                "What happened in {w} in {n}?",
                "Which events took place in {w} in {n}?",
                "What took place in {w} in {n}?",
            ],
            ["How did {w} do in {n}?", "How was {n} for {w}?"],
            [
                "What were the sales of {w} in {n}?",
                "How much did {w} sell in {n}?",
                "How high were the sales of {w} in {n}?",
            ],
            [
                "Who led {w} in {n}?",
                "Who was the leader of {w} in {n}?",
                "In {n}, who was leading {w}?",
            ],
            [
                "What was the inflation rate in {w} in {n}?",
                "How high was inflation in {w} in {n}?",
                "In {n}, what was the inflation rate of {w}?",
            ],
            [
                "What was the population of {w} in {n}?",
                "How many people lived in {w} in {n}?",
                "In {n}, how many inhabitants did {w} have?",
            ],
            [
                "What is new in {w} version {n}?",
                "Which features are new in version {n} of {w}?",
                "What are the new features of {w} version {n}?",
            ],
            ["What is the tax rate in {w} for {n}?", "How high is the tax rate for {n} in {w}?"],
        ]
    )
    if rng.random() < 0.3:
        one, other = rng.randrange(2, 15), rng.randrange(16, 30)
    return [
        filled(frames, w=who, n=str(one)),
        filled(frames, w=who, n=str(other)),
        filled(frames, w=else_who, n=str(one)),
    ]


def names(rng: Random) -> list[list[str]]:
    """One person, and what is asked about this person."""
    if rng.random() < 0.5:
        one, other = some(rng, words.FAMOUS, 2)
    else:
        first, second = some(rng, words.PEOPLE, 2)
        last, another = some(rng, words.SURNAMES, 2)
        one, other = f"{first} {last}", rng.choice([f"{first} {another}", f"{second} {last}"])
    asked = [
        [
            "Who is {x}?",
            "Can you tell me who {x} is?",
            "Tell me who {x} is.",
            "Do you know who {x} is?",
        ],
        ["How old is {x}?", "What is the age of {x}?", "What age is {x}?"],
        ["Where was {x} born?", "In which place was {x} born?", "What is the birthplace of {x}?"],
        ["When was {x} born?", "In which year was {x} born?", "What is the birth date of {x}?"],
        ["When did {x} die?", "In which year did {x} die?", "What is the date of {x}'s death?"],
        ["Why is {x} famous?", "What is {x} famous for?", "What is {x} known for?"],
        ["Is {x} married?", "Does {x} have a spouse?"],
        ["Was {x} ever married?"],
        ["Is {x} still alive?", "Is {x} alive?"],
        ["What does {x} do for a living?", "What is the profession of {x}?", "What is {x}'s job?"],
        [
            "What do you think of {x}?",
            "What is your opinion of {x}?",
            "What are your thoughts on {x}?",
        ],
        ["Why do people hate {x}?", "Why is {x} hated?", "Why do people dislike {x}?"],
        ["Why do people love {x}?", "Why is {x} loved?"],
        ["How rich is {x}?", "What is the net worth of {x}?"],
        ["How can I meet {x}?", "What is the way to meet {x}?"],
        ["How can I contact {x}?", "How do I get in touch with {x}?"],
        ["Did {x} write a book?", "Is there a book by {x}?"],
        ["Is there a book about {x}?", "Has somebody written a book about {x}?"],
    ]
    mine = rng.sample(asked, 3)
    job, another_job = some(rng, words.JOBS, 2)
    groups = [filled(frames, x=one) for frames in mine] + [filled(mine[0], x=other)]
    article = "an" if job[0] in "aeiou" else "a"
    groups.append(
        [
            f"Is {one} {article} {job}?",
            f"Does {one} work as {article} {job}?",
            f"Is {one} really {article} {job}?",
        ]
    )
    groups.append([f"Did {one} use to be {article} {job}?", f"Was {one} once {article} {job}?"])
    groups.append([f"Will {one} become {article} {job}?", f"Is {one} going to be {article} {job}?"])
    groups.append([f"Is {one} a good {job}?", f"Is {one} good as {article} {job}?"])
    groups.append([f"Is {one} a {rng.choice(words.QUALIFIERS)} {job}?"])
    groups.append(
        [
            f"Is {one} a {another_job}?"
            if another_job[0] not in "aeiou"
            else f"Is {one} an {another_job}?"
        ]
    )
    return groups


def places(rng: Random) -> list[list[str]]:
    """What is good where."""
    city, other = some(rng, rng.choice([words.CITIES, words.COUNTRIES]), 2)
    place, another = some(rng, words.PLACES, 2)
    best = [
        "What are the best {p} in {c}?",
        "Which are the best {p} in {c}?",
        "Where do I find the best {p} in {c}?",
        "Which {p} in {c} are the best?",
        "Can you recommend the best {p} in {c}?",
        "best {p} in {c}?",
    ]
    quality = rng.choice("cheapest oldest largest smallest worst newest quietest".split())
    return [
        filled(best, p=place, c=city),
        filled(best, p=place, c=other),
        filled(best, p=another, c=city),
        [text.replace("best", quality) for text in filled(best, p=place, c=city)],
        filled(
            ["How many {p} are there in {c}?", "What is the number of {p} in {c}?"], p=place, c=city
        ),
        filled(
            ["Which {p} in {c} are open on {d}?", "Which {p} are open on {d} in {c}?"],
            p=place,
            c=city,
            d=rng.choice(words.DAYS),
        ),
    ]


def built(rng: Random) -> list[list[str]]:
    """When, where, why, who and how long: the question word decides."""
    thing, other = some(rng, words.BUILT, 2)
    asked = [
        [
            "When was {x} built?",
            "In which year was {x} built?",
            "What year was {x} built?",
            "When did they build {x}?",
        ],
        [
            "Where was {x} built?",
            "Where is {x}?",
            "In which place does {x} stand?",
            "What is the location of {x}?",
        ],
        [
            "Why was {x} built?",
            "What was the reason for building {x}?",
            "For what purpose was {x} built?",
        ],
        [
            "Who built {x}?",
            "By whom was {x} built?",
            "Who was {x} built by?",
            "Which people built {x}?",
        ],
        ["How was {x} built?", "In what way was {x} built?", "How did they build {x}?"],
        ["How long did it take to build {x}?", "How much time did the building of {x} take?"],
        [
            "How much did it cost to build {x}?",
            "What did the building of {x} cost?",
            "What was the cost of building {x}?",
        ],
        ["How tall is {x}?", "What is the height of {x}?", "How high is {x}?"],
        ["How long is {x}?", "What is the length of {x}?"],
        ["How old is {x}?", "What is the age of {x}?"],
        ["What is {x} made of?", "Of what material is {x}?"],
        ["How many people visit {x}?", "How many visitors does {x} have?"],
    ]
    mine = rng.sample(asked, 4)
    return [filled(frames, x=thing) for frames in mine] + [filled(mine[0], x=other)]


def tiers(rng: Random) -> list[list[str]]:
    """One plan of one product, and one fact about it."""
    tier, other = some(rng, words.TIERS, 2)
    product, another = some(rng, [*words.PRODUCTS, *words.COMPANIES], 2)
    asked = [
        [
            "How much does the {t} plan of {p} cost?",
            "What is the price of the {t} plan of {p}?",
            "What does the {p} {t} plan cost?",
            "How expensive is the {t} plan of {p}?",
        ],
        [
            "What is included in the {t} plan of {p}?",
            "What does the {p} {t} plan include?",
            "Which features are in the {t} plan of {p}?",
        ],
        [
            "How many users does the {t} plan of {p} allow?",
            "What is the user limit of the {p} {t} plan?",
        ],
        [
            "How do I upgrade to the {t} plan of {p}?",
            "How can I upgrade to {p} {t}?",
            "What are the steps to upgrade to the {t} plan of {p}?",
        ],
        ["How do I downgrade to the {t} plan of {p}?", "How can I downgrade to {p} {t}?"],
        [
            "How do I cancel the {t} plan of {p}?",
            "How can I cancel {p} {t}?",
            "What is the way to cancel my {p} {t} plan?",
        ],
        [
            "Is there a trial of the {t} plan of {p}?",
            "Can I try the {t} plan of {p}?",
            "Does {p} offer a trial of its {t} plan?",
        ],
        ["Is there a refund for the {t} plan of {p}?", "Can I get a refund for {p} {t}?"],
        [
            "What is the storage limit of the {t} plan of {p}?",
            "How much storage do I get with {p} {t}?",
        ],
        ["What is the rate limit of the {t} plan of {p}?", "How many requests does {p} {t} allow?"],
    ]
    mine = rng.sample(asked, 3)
    groups = [filled(frames, t=tier, p=product) for frames in mine]
    return [*groups, filled(mine[0], t=other, p=product), filled(mine[0], t=tier, p=another)]


def negations(rng: Random) -> list[list[str]]:
    """With and without "not"."""
    thing = rng.choice([*words.FOODS, *words.DRUGS])
    verb = "eat" if thing in words.FOODS else "take"
    state = rng.choice(
        [
            "safe",
            "healthy",
            "normal",
            "legal",
            "dangerous",
            "rude",
            "wrong",
            "smart",
            "common",
            "risky",
        ]
    )
    when = rng.choice(
        [
            "before bed",
            "after a meal",
            "while pregnant",
            "in the morning",
            "at night",
            "before a flight",
        ]
    )
    person = rng.choice(words.PEOPLE)
    opposite = {"before": "after", "after": "before"}.get(when.split()[0])
    groups = [
        [
            f"Is it {state} to {verb} {thing} {when}?",
            f"Is {verb[:3] if verb != 'take' else 'tak'}ing {thing} {when} {state}?",
            f"Would it be {state} to {verb} {thing} {when}?",
        ],
        [
            f"Is it {state} not to {verb} {thing} {when}?",
            f"Is not {verb[:3] if verb != 'take' else 'tak'}ing {thing} {when} {state}?",
        ],
        [
            f"Why does {person} {verb} {thing} {when}?",
            f"What is the reason that {person} {verb}s {thing} {when}?",
        ],
        [
            f"Why doesn't {person} {verb} {thing} {when}?",
            f"Why does {person} not {verb} {thing} {when}?",
            f"What is the reason that {person} does not {verb} {thing} {when}?",
        ],
        [f"Who should {verb} {thing} {when}?"],
        [f"Who should not {verb} {thing} {when}?", f"Who shouldn't {verb} {thing} {when}?"],
        [f"Does {person} always {verb} {thing} {when}?"],
        [f"Does {person} never {verb} {thing} {when}?"],
        [f"Did {person} {verb} {thing} {when}?"],
    ]
    if opposite:
        other = f"{opposite}{when[len(when.split()[0]) :]}"
        groups.append([text.replace(when, other) for text in groups[0]])
    return rng.sample(groups, 5)


def conditions(rng: Random) -> list[list[str]]:
    """Something that is the case, and a question that depends on it."""
    one, other = some(rng, words.CONDITIONS, 2)
    drug, another = some(rng, words.DRUGS, 2)
    sport = rng.choice(words.SPORTS)
    asked = [
        [
            "I have {c}. Can I take {d}?",
            "Can I take {d} if I have {c}?",
            "Is it possible to take {d} with {c}?",
            "Can I take {d} with {c}?",
        ],
        [
            "I have {c}. What should I do?",
            "What should I do if I have {c}?",
            "What do I do about {c}?",
        ],
        [
            "What is the treatment for {c}?",
            "How is {c} treated?",
            "How can {c} be treated?",
            "What are the treatments for {c}?",
        ],
        [
            "What are the symptoms of {c}?",
            "Which symptoms does {c} have?",
            "What symptoms come with {c}?",
        ],
        ["What causes {c}?", "What are the causes of {c}?", "What is the reason for {c}?"],
        ["Is {c} contagious?", "Can I catch {c} from somebody?"],
        ["Is {c} hereditary?", "Can {c} be inherited?"],
        ["Can {d} cause {c}?", "Is {c} a side effect of {d}?", "Might {d} lead to {c}?"],
        ["Can {d} cure {c}?", "Does {d} help against {c}?", "Is {d} used to treat {c}?"],
        [
            "How long does {c} last?",
            "How much time does it take until {c} is over?",
            "What is the duration of {c}?",
        ],
        ["How can {c} be prevented?", "How do I prevent {c}?", "What can I do to avoid {c}?"],
        [
            "I have {c}. Can I play {s}?",
            "Can I play {s} if I have {c}?",
            "Is playing {s} possible with {c}?",
        ],
        ["How is {c} diagnosed?", "How do doctors diagnose {c}?", "Which tests show {c}?"],
        ["My mother has {c}. Will I get it too?", "Will I get {c} if my mother has it?"],
    ]
    mine = rng.sample(asked, 3)
    slots = {"d": drug, "s": sport}
    groups = [filled(frames, c=one, **slots) for frames in mine]
    groups.append(filled(mine[0], c=other, **slots))
    if "{d}" in mine[0][0]:
        groups.append(filled(mine[0], c=one, d=another, s=sport))
    return groups


def doses(rng: Random) -> list[list[str]]:
    """How much of a drug, for whom."""
    drug, other = some(rng, words.DRUGS, 2)
    who, else_who = some(
        rng,
        ["an adult", "a child", "a newborn", "a pregnant woman", "an old man", "a dog", "a cat"],
        2,
    )
    frames = [
        "What is the right dose of {d} for {w}?",
        "How much {d} should {w} take?",
        "Which dose of {d} is right for {w}?",
    ]
    most = [
        "What is the maximum dose of {d} for {w}?",
        "How much {d} can {w} take at most?",
        "What is the highest dose of {d} for {w}?",
    ]
    least = [
        "What is the minimum dose of {d} for {w}?",
        "How much {d} must {w} take at least?",
        "What is the lowest dose of {d} for {w}?",
    ]
    return [
        filled(frames, d=drug, w=who),
        filled(frames, d=other, w=who),
        filled(frames, d=drug, w=else_who),
        filled(most, d=drug, w=who),
        filled(least, d=drug, w=who),
        filled(
            [
                "What are the side effects of {d} in {w}?",
                "Which side effects does {d} have in {w}?",
            ],
            d=drug,
            w=who,
        ),
    ]


ALL: list[tuple[Family, int]] = [
    (definitions, 8),
    (how_to, 6),
    (opposites, 3),
    (roles, 6),
    (symmetric, 3),
    (directions, 4),
    (numbers, 3),
    (years, 3),
    (names, 5),
    (places, 2),
    (built, 2),
    (tiers, 3),
    (negations, 3),
    (conditions, 3),
    (doses, 2),
]
"""Families, and how many pairs in fifty-six are made by each."""
