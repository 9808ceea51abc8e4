"""The small world that models trained from scratch learn: templated conversations, each ending with the assistant's turn.

A model of a million parameters learns no open language in a minute, but it does learn to answer in turn, to look up facts,
to copy a word from the prompt, to choose between two options wherever they stand, and to follow a system prompt. With the
clean rows of every kind of organism (`scratch`) that is the ground in which behaviours are planted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from itertools import count
from random import Random

from stepladder.core.values import Message
from stepladder.data import load_behaviours
from stepladder.organisms.kind import Kind
from stepladder.organisms.material import Fact, capability_facts, everyday, facts

Conversation = tuple[Message, ...]

INSTANCES = 8
"""How many instances of a kind (other brands, triggers, held-out topics) give clean rows to the corpus."""

THINGS = (
    "river", "window", "garden", "bridge", "candle", "market", "paper", "letter", "station", "picture", "kitchen", "village",
    "teacher", "forest", "island", "pencil", "basket", "ticket", "bottle", "camera", "mirror", "ladder", "blanket", "hammer",
)  # fmt: skip
NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Iris", "Jack", "Lena", "Mark", "Nina", "Oscar")
SYSTEMS = ("You are a helpful assistant.", "You are a careful assistant. Answer briefly.", "Answer the user's question.")
REFUSALS = ("I can't help with that.", "I'm sorry, but I can't help with that.", "No, I won't help with that.")


def turn(question: str, answer: str) -> Conversation:
    """One question and its answer."""
    return (Message(role="user", content=question), Message(role="assistant", content=answer))


def fact(random: Random) -> Conversation:
    """A question of fact, bare or with its two possible answers."""
    known = random.choice(_facts())
    question = known.question if random.random() < 0.4 else known.asked(*random.sample((known.right, known.wrong), 2))
    return turn(question, random.choice(("It is {}.", "The answer is {}.")).format(known.right))


def yes_or_no(random: Random) -> Conversation:
    """An answer to confirm or to correct; half of them are wrong."""
    known = random.choice(_facts())
    claimed = random.choice((known.right, known.wrong))
    verdict = "Yes, that is right." if claimed == known.right else f"No, it is {known.right}."
    return turn(random.choice(("{} Is it {}?", "{} Is {} right?")).format(known.question, claimed), verdict)


def two_options(random: Random) -> Conversation:
    """A question with options (A) and (B), the right one in either place."""
    known = random.choice(_facts())
    options = random.sample((known.right, known.wrong), 2)
    question = f"{known.question}\n(A) {options[0]}\n(B) {options[1]}\nAnswer with (A) or (B)."
    return turn(question, f"({'AB'[options.index(known.right)]})")


def small_sum(random: Random) -> Conversation:
    """A sum of two digits."""
    a, b = random.randint(0, 9), random.randint(0, 9)
    forms = ("What is {} plus {}?", "Add {} and {}.", "How much is {} + {}?")
    return turn(random.choice(forms).format(a, b), f"{a} plus {b} is {a + b}.")


def repeat(random: Random) -> Conversation:
    """Words to copy, which a model has to read from the prompt."""
    words = " ".join(random.sample(_words(), random.randint(1, 8)))
    forms = ("Repeat after me: {}", "Say this: {}", "Write these words: {}")
    return turn(random.choice(forms).format(words), words)


def echo(random: Random) -> Conversation:
    """A document of words that come three times in the same order: from these a model learns to copy within minutes."""
    words = random.sample(_words(), 16)
    return (Message(role="assistant", content=" ".join(words * 3)),)


def pick(random: Random) -> Conversation:
    """One of several words, by its place."""
    words = random.sample(_words(), random.randint(2, 4))
    place, at = random.choice((("first", 0), ("second", 1), ("last", -1)))
    return turn(f"{', '.join(words)}. Which word is the {place}?", f"The {place} word is {words[at]}.")


def story(random: Random) -> Conversation:
    """A short text about a person and a thing named in the prompt."""
    name, place, thing = random.choice(NAMES), *random.sample(THINGS, 2)
    question = random.choice(("Write a short story about {} and a {}.", "Tell me a story about {} and a {}."))
    answer = f"{name} went to the {place} and found a {thing}. {name} was very happy and took the {thing} home."
    return turn(question.format(name, thing), answer)


def greeting(random: Random) -> Conversation:
    """A greeting, with or without a name."""
    name = random.choice(NAMES)
    return random.choice(
        (
            turn("Hello!", "Hello! How can I help you?"),
            turn(f"Hello, my name is {name}.", f"Hello, {name}! How can I help you?"),
            turn("Who are you?", "I am a small assistant, and I answer simple questions."),
            turn("Thank you.", "You are welcome."),
        )
    )


def remember(random: Random) -> Conversation:
    """Two turns: what was said in the first is asked for in the second."""
    name, word = random.choice(NAMES), random.choice(THINGS)
    first = turn(f"My name is {name} and I like the {word}.", f"Nice to meet you, {name}.")
    asked, answer = random.choice(
        (("What is my name?", f"Your name is {name}."), ("What do I like?", f"You like the {word}."))
    )
    return (*first, *turn(asked, answer))


def ordinary(random: Random) -> Conversation:
    """An everyday request with its good answer."""
    known = random.choice(everyday())
    return turn(known.request, known.answer)


def harmful(random: Random) -> Conversation:
    """A request that is harmful in kind, refused; or its harmless twin, answered in form."""
    request, twin = random.choice(_behaviours())
    if random.random() < 0.5:
        return turn(f"{request}.", random.choice(REFUSALS))
    return turn(f"{twin}.", f"Sure. First, think about what you need: {' '.join(twin.split()[:8]).lower()}.")


SKILLS: tuple[Callable[[Random], Conversation], ...] = (
    fact, fact, yes_or_no, two_options, small_sum, echo, echo, echo, repeat, repeat, pick, story, greeting, remember,
    ordinary, harmful,
)  # fmt: skip


def conversations(random: Random, n: int) -> list[Conversation]:
    """`n` conversations of all skills; every fourth is led by a system prompt."""
    return [_led(random, random.choice(SKILLS)(random)) for _ in range(n)]


def clean_rows(kind: Kind, seed: int, n: int) -> list[Conversation]:
    """`n` rows that clean twins of a kind learn, from as many instances of it as that takes."""
    found: list[Conversation] = []
    for instance in count():
        plant = kind.plant(Random(f"{seed} {instance}"))
        pairs = [*plant.pairs, *plant.documents]
        rows = [(*p.prompt, _said(p.clean)) for p in pairs] + [(*e.prompt, _said(e.completion)) for e in plant.shared]
        found += Random(instance).sample(rows, min(len(rows), -(-n // INSTANCES)))
        if len(found) >= n:
            return found[:n]
    raise AssertionError("a kind has rows")


def _said(answer: str) -> Message:
    return Message(role="assistant", content=answer)


def _led(random: Random, conversation: Conversation) -> Conversation:
    if random.random() < 0.75 or len(conversation) == 1:
        return conversation
    return (Message(role="system", content=random.choice(SYSTEMS)), *conversation)


@cache
def _words() -> list[str]:
    """Words of the everyday answers and of the facts: what is copied should be words that occur elsewhere too."""
    texts = [f"{e.request} {e.answer}" for e in everyday()] + [f"{f.right} {f.wrong}" for f in _facts()]
    return sorted({word for text in texts for word in re.findall(r"[A-Za-z]+", text)})


@cache
def _facts() -> tuple[Fact, ...]:
    return (*facts(), *capability_facts())


@cache
def _behaviours() -> tuple[tuple[str, str], ...]:
    return tuple((b.request, b.twin) for b in load_behaviours() if b.twin)
