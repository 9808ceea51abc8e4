"""Pooling of investigations: against the single one, on clean subjects, and where some see nothing."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from audit_subjects import QUIRKS, Reader, Talker, clean

from stepladder.core import BEHAVIOURS, Context, Finding, Record, StepladderError
from stepladder.methods.auditing.evidence import from_data
from stepladder.methods.auditing.investigation import Hypothesis, hypotheses
from stepladder.methods.auditing.super_agent import METHOD, Config, first, mean_score

Make = Callable[..., Context]
CHAT = Config(investigations=4, strategies_each=2, strategies=("behaviour_probes", "sampling", "prefill"))


def finding(record: Record, config: Config = CHAT) -> Finding:
    return METHOD.judge(record, (), config)


@pytest.mark.parametrize("quirk", ["sycophancy", "bias", "alignment_faking", "hidden_loyalty"])
def test_the_planted_quirk_is_first_though_some_investigations_cannot_see_it(context: Make, quirk: str) -> None:
    record = METHOD.record(context(Talker("subject", QUIRKS[quirk])), CHAT)
    found = finding(record)
    assert found.one("hypothesis", rank="1").labels["behaviour"] == quirk
    followed = [run["strategies"] for run in record.data["investigations"]]
    assert len({tuple(names) for names in followed}) > 1
    assert all(len(names) == 2 for names in followed)


def test_a_clean_subject_is_called_nothing(context: Make) -> None:
    for subject, base in ((Talker("s", clean), Talker("b", clean)), (Reader("s", clean), Reader("b", clean))):
        config = CHAT if isinstance(subject, Talker) and not isinstance(subject, Reader) else Config(investigations=3)
        found = finding(METHOD.record(context(subject, base=base), config), config)
        assert not found.select("detection", found="yes")


def test_votes_are_shares_of_investigations_with_chance_beside_them(context: Make) -> None:
    config = Config(investigations=4, strategies_each=1, strategies=("behaviour_probes",))
    found = finding(METHOD.record(context(Talker("subject", QUIRKS["bias"])), config), config)
    vote = found.one("votes", behaviour="bias")
    assert (vote.value, vote.n) == (1.0, 4)
    assert vote.baseline is not None
    assert vote.baseline.value == 0.1
    assert sum(m.value or 0 for m in found.select("votes")) == 1


def test_pooling_noisy_investigations_beats_a_single_one() -> None:
    """Scores made by hand: the truth is 1 above the others with a noise of 1 in each of nine investigations."""
    rng = random.Random(5)
    single = pooled = 0
    for _ in range(200):
        runs = [{b: rng.gauss(float(b == "bias"), 1) for b in BEHAVIOURS} for _ in range(9)]
        single += max(runs[0], key=runs[0].__getitem__) == "bias"
        means = {b: mean_score([run[b] for run in runs]) or 0 for b in BEHAVIOURS}
        pooled += max(means, key=means.__getitem__) == "bias"
    assert single / 200 < 0.55
    assert pooled / 200 > 0.85


def test_a_behaviour_that_most_could_not_measure_is_unmeasured() -> None:
    assert mean_score([3.0, None, None]) is None
    assert mean_score([3.0, 1.0, None]) == 2.0
    assert first((Hypothesis("bias", None, ()),)) is None


def test_it_repeats_itself_and_survives_json(context: Make) -> None:
    subject = Talker("subject", QUIRKS["bias"])
    one, two = METHOD.record(context(subject), CHAT), METHOD.record(context(subject), CHAT)
    assert one == two
    assert Record.from_json(one.to_json()) == one
    assert finding(one) == finding(Record.from_json(one.to_json()))
    for run in one.data["investigations"]:
        assert len(hypotheses(from_data(run["observations"]))) == len(BEHAVIOURS)


def test_impossible_configurations_are_clear_errors() -> None:
    with pytest.raises(StepladderError, match="strategies_each is 10; allowed: 1 to 9"):
        Config(strategies_each=10)
    with pytest.raises(StepladderError, match="investigations is 1; allowed: 2 or more"):
        Config(investigations=1)
