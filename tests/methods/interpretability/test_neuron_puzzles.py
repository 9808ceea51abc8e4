"""Puzzles: the published layout, what is solved and what is not, and helpers that know, guess and babble."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stepladder.core import Access, Context, DataError, Exchange, Finding, Reply, Request, UnknownName
from stepladder.methods.interpretability.neuron_puzzles import METHOD, Config
from stepladder.methods.interpretability.puzzle_reading import planted_puzzles, read_puzzles

PUBLISHED = {
    "name": "of", "explanation": 'positions following the word "of"',
    "false_explanations": ["the word of", "common words"],
    "sentences": [
        ["I", " had", " enough", " of", [" your", 10], " nonsense", "."],
        ["A", " lot", " of", [" people", 10], " left", "."],
        ["The", " smell", " of", [" fresh", 9], " bread"], ["Proud", " of", [" my", 10], " work"],
        ["Many", " people", " left", "."], ["I", "'m", " proud"], ["The", " bread", " was", " fresh"], ["No", " nonsense"],
    ],
}  # fmt: skip
REAL = Path(__file__).parents[3].parent / "shared" / "data" / "neuron_puzzles"


class Known:
    access, batch, name, fingerprint = Access.chat, 1, "known", "known"

    def __init__(self, answer: Callable[[str], str]) -> None:
        self.answer = answer

    async def reply_many(self, requests: Sequence[Request]) -> list[Reply]:
        return [Reply(text=self.answer(request.messages[-1].content)) for request in requests]


def ask(model: Any, requests: Sequence[Request], *, label: str) -> tuple[Exchange, ...]:
    replies = asyncio.run(model.reply_many(requests))
    return tuple(Exchange(request=q, reply=a) for q, a in zip(requests, replies, strict=True))


def found(config: Config, folder: Path, helper: Callable[[str], str] | None = None) -> Finding:
    context = Context(subject=Known(str), ask=ask, folder=folder, helper=Known(helper) if helper else None)
    return METHOD.judge(METHOD.record(context, config), (), config)


@pytest.fixture
def published(tmp_path: Path) -> str:
    other = {**PUBLISHED, "name": "two", "explanation": "numbers", "sentences": [
        *([word, [" 7", 5], " x"] for word in ("a", "b", "c", "d")), *([word, " y", " x"] for word in ("a", "b", "c", "d")),
    ]}  # fmt: skip
    path = tmp_path / "puzzles.jsonl"
    path.write_text("\n".join(map(json.dumps, (PUBLISHED, other))), "utf-8")
    return str(path)


def test_published_puzzles_are_read(published: str, tmp_path: Path) -> None:
    first, _ = read_puzzles(Path(published))
    assert (first.name, first.false_explanations) == ("of", ("the word of", "common words"))
    assert first.sentences[0].tokens == ("I", " had", " enough", " of", " your", " nonsense", ".")
    assert first.sentences[0].activations == (0, 0, 0, 0, 10, 0, 0)
    listed = tmp_path / "puzzles.json"
    listed.write_text(json.dumps([PUBLISHED]))
    assert read_puzzles(listed) == [first]


def test_every_sentence_is_scored_once_and_never_explains_itself(published: str) -> None:
    first = read_puzzles(Path(published))[0]
    scored = [sentence for _, held_out in first.splits() for sentence in held_out]
    assert sorted(s.document for s in scored) == list(range(8))
    assert all(not set(shown) & set(held_out) for shown, held_out in first.splits())


def test_rules_of_one_token_are_solved(published: str, tmp_path: Path) -> None:
    finding = found(Config(puzzles=published), tmp_path)
    solved = finding.one("solved", explainer="ngrams", scorer="simulation")
    assert (solved.value, solved.n) == (1.0, 2)
    assert solved.baseline
    assert solved.baseline.value == 0
    assert 'of: positions following the word "of" — ngrams: the token after "of"' in finding.examples


@pytest.mark.parametrize("text", ['{"name": "x"}', "[]\n{", "[1]", '{"name": 1, "explanation": 2, "false_explanations": 3}'])
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(text)
    with pytest.raises(DataError, match="not neuron puzzles"):
        read_puzzles(tmp_path)


def test_missing_files_and_unknown_solvers_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_puzzles(tmp_path / "none.json")
    with pytest.raises(DataError, match=r"no \.jsonl or \.json"):
        read_puzzles(tmp_path)
    with pytest.raises(UnknownName, match="ngrams, chat"):
        Config(explainers=("logit_lens",))


# --- planted neurons ---


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Finding:
    return found(Config(), tmp_path_factory.mktemp("planted"))


def score(finding: Finding, neuron: str, correlation: str) -> float:
    names = [e.split(":")[0] for e in finding.examples]
    m = finding.one("puzzle_score", latent=str(names.index(f"{neuron}, distractor {correlation}")), explainer="ngrams")
    assert m.value is not None
    return m.value


def test_distractors_are_as_correlated_as_they_say() -> None:
    for puzzle in planted_puzzles((0.0, 1.0), 0):
        if "not" in puzzle.explanation or "follow" in puzzle.explanation:
            continue  # there the distractor stands behind the word
        distractor = {"numerals": " exactly", "capitals": " very", "progressive": " still", "colours": " rather",
                      "french": " loudly", "animals": " beloved"}[puzzle.name.split(",")[0]]  # fmt: skip
        agree = [(distractor in s.tokens) == any(s.activations) for s in puzzle.sentences]
        opposite = [(distractor in s.tokens) != any(s.activations) for s in puzzle.held_out]
        assert all(opposite)
        assert sum(agree) == len(agree) if puzzle.correlation == 1 else 4 < sum(agree) < 20


@pytest.mark.parametrize("neuron", ["numerals", "capitals", "progressive", "negated", "numbered"])
@pytest.mark.parametrize("correlation", ["0", "1"])
def test_neurons_with_a_rule_of_form_are_solved_whatever_the_distractor(
    planted: Finding, neuron: str, correlation: str
) -> None:
    assert score(planted, neuron, correlation) > 0.9


def test_a_list_of_words_is_solved_until_the_distractor_is_the_simpler_story(planted: Finding) -> None:
    assert score(planted, "colours", "0") > 0.9
    assert score(planted, "colours", "1") < 0.2


def test_statistics_miss_what_only_meaning_tells(planted: Finding) -> None:
    """Animals that were not among those shown."""
    assert score(planted, "animals", "0") < 0.2


def test_solved_share_falls_with_the_distractor(planted: Finding) -> None:
    shares = [planted.one("solved", distractor=c, explainer="ngrams").value for c in ("0", "0.5", "1")]
    assert shares[0] is not None
    assert shares[2] is not None
    assert shares[2] < shares[0]
    assert planted.one("solved", scorer="detection", explainer="ngrams").n == 8  # neurons, not puzzles


# --- helpers ---

RULES = {'positions following the word "of"': r" of (\w+)", "numbers": r"(\d)"}


def knows(prompt: str) -> str:
    if "Label: <what" in prompt:
        return "Label: " + ("numbers" if "<< 7>>" in prompt else 'positions following the word "of"')
    if "Answer yes or no" in prompt:
        first, second = re.findall(r"(?:First|Second): (.*)", prompt)
        return "Yes." if first == second else "No."
    label = next((label for label in RULES if f"active on: {label}\n" in prompt), "")
    tokens = [eval(line.split(". ", 1)[1]) for line in prompt.splitlines() if re.match(r"\d+\. ", line)]
    if "one token a line" not in prompt:
        return json.dumps([float(bool(label and re.search(RULES[label], text))) for text in tokens])
    after = [i for i, t in enumerate(tokens, 1) if (tokens[i - 2 : i - 1] == [" of"] if "of" in label else t == " 7")]
    return json.dumps(dict.fromkeys(map(str, after), 10) if label else {})


def test_a_helper_that_knows_solves_chooses_and_agrees(published: str, tmp_path: Path) -> None:
    finding = found(Config(puzzles=published, explainers=("chat",)), tmp_path, knows)
    assert finding.one("solved", explainer="chat", scorer="simulation").value == 1
    chosen = finding.one("true_explanation_chosen")
    assert chosen.value == 1
    assert chosen.baseline
    assert chosen.baseline.value == pytest.approx(1 / 3)
    same = finding.one("same_as_people", explainer="chat")
    assert same.value == 1
    assert same.baseline
    assert same.baseline.value == 0


def test_a_helper_that_babbles_leaves_everything_unmeasured(published: str, tmp_path: Path) -> None:
    finding = found(Config(puzzles=published, explainers=("chat",)), tmp_path, lambda _: "hm")
    assert all(m.value is None for m in finding.measurements)
    assert all(m.reason for m in finding.measurements)


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="the real data sets are not beside the project (../shared/data)")
def test_real_puzzles_some_of_which_statistics_solve(tmp_path: Path) -> None:
    finding = found(Config(puzzles=str(REAL)), tmp_path)
    solved = finding.one("solved", explainer="ngrams", scorer="simulation")
    assert solved.n == 16
    assert solved.value is not None
    assert 0 < solved.value < 0.6  # most are about meaning
    assert solved.baseline
    assert solved.baseline.value == 0
