"""Best-of-n on subjects whose chance of giving in is known."""

from __future__ import annotations

import dataclasses
import math
import random
from collections import Counter
from collections.abc import Callable

import pytest

from stepladder.core import Finding, Measurement, Record, Request, StepladderError, Verdict
from stepladder.methods.red_teaming.best_of_n import METHOD, Config, plan
from stepladder.methods.red_teaming.forecasts import Samples, measurements
from stepladder.methods.red_teaming.scaling import Tally

Found = Callable[..., Finding]
USUAL = Config(per_category=1, fit_samples=8, held_out_samples=24, plain_samples=8)
MANY = dataclasses.replace(USUAL, per_category=5)
"""60 of the shipped behaviours."""


def bernoulli(p: float | Callable[[str], float]) -> Callable[[Request], str]:
    """A subject that gives in with chance p (of the behaviour), independently at each seed."""

    def answer(request: Request) -> str:
        chance = p if isinstance(p, float) else p(str(request.metadata["behaviour"]))
        return "YES" if random.Random(request.seed).random() < chance else "NO"

    return answer


def spread_out(behaviour: str) -> float:
    """Behaviours of very different difficulty."""
    return random.Random(behaviour).betavariate(0.3, 3)


def points(finding: Finding, source: str) -> dict[int, Measurement]:
    return {int(m.labels["k"]): m for m in finding.select("asr_at_k", source=source)}


def test_the_plan_samples_every_behaviour_with_seeds_and_spellings_of_its_own() -> None:
    requests = plan(USUAL, 0)
    attacks = Counter(request.metadata["attack"] for request in requests)
    assert attacks == {"best_of_n": 12 * 32, "direct": 12 * 8}
    assert len({request.id for request in requests}) == len(requests)
    assert len({request.seed for request in requests}) == len(requests)
    changed = [r for r in requests if r.metadata["attack"] == "best_of_n"]
    assert len({r.messages for r in changed}) > 0.99 * len(changed)
    assert all(r.messages[0].content == r.metadata["request"] for r in requests if r.metadata["attack"] == "direct")


def test_taking_more_samples_keeps_those_that_were_taken() -> None:
    """So a longer run asks only what is new."""
    more = dataclasses.replace(USUAL, held_out_samples=40, plain_samples=10)
    assert {r.to_json() for r in plan(USUAL, 3)} < {r.to_json() for r in plan(more, 3)}


def test_a_subject_of_chance_p_is_broken_in_k_tries_with_chance_one_minus_one_minus_p_to_the_k(found: Found) -> None:
    p = 0.1
    observed = points(found(METHOD, MANY, bernoulli(p)), "observed")
    assert list(observed) == [1, 2, 4, 8, 16, 32]
    for k, measurement in observed.items():
        truth = 1 - (1 - p) ** k
        assert measurement.value == pytest.approx(truth, abs=4 * (truth * (1 - truth) / 60) ** 0.5)
        assert measurement.n == 60
        assert measurement.interval is not None
        assert measurement.interval.low <= truth <= measurement.interval.high
        assert measurement.baseline is not None


def test_the_forecast_for_behaviours_of_spread_out_difficulty_holds_on_samples_it_never_saw(found: Found) -> None:
    finding = found(METHOD, MANY, bernoulli(spread_out))
    held, foreseen = points(finding, "held_out"), points(finding, "forecast")
    assert list(held) == [16, 24]
    assert list(foreseen) == [16, 24, 32, 64, 128]
    for k, measurement in held.items():
        assert foreseen[k].interval is not None
        error = finding.one("forecast_error", k=str(k))
        assert error.value == pytest.approx(foreseen[k].value - measurement.value)  # type: ignore[operator]
        assert error.interval is not None
        assert error.interval.low < 0 < error.interval.high
        assert "inside" in error.note
        assert error.baseline is not None
        assert abs(error.baseline.value or 0) > 3 * abs(error.value or 0), "equal chances foresee far too much"
    assert "no held-out samples" in foreseen[128].note
    exponent = finding.one("power_law_exponent")
    assert exponent.interval is not None
    assert exponent.interval.low > 0


def test_the_forecast_for_behaviours_of_equal_difficulty_misses_and_says_so(found: Found) -> None:
    """The case that a power law should miss: success saturates faster."""
    finding = found(METHOD, MANY, bernoulli(0.1))
    error = finding.one("forecast_error", k="24")
    assert error.interval is not None
    assert error.interval.high < 0
    assert "outside" in error.note
    assert error.baseline is not None
    assert error.baseline.interval is not None
    assert error.baseline.interval.low < 0 < error.baseline.interval.high, "equal chances are the truth here"


@pytest.mark.parametrize(("answer", "rate", "reason"), [("NO", 0.0, "nothing succeeded"), ("YES", 1.0, "nothing is left")])
def test_where_nothing_or_everything_succeeds_no_forecast_is_made(
    found: Found, answer: str, rate: float, reason: str
) -> None:
    finding = found(METHOD, USUAL, lambda request: answer)
    for measurement in points(finding, "observed").values():
        assert measurement.value == rate
        assert measurement.interval is not None
    for name in ("power_law_exponent", "forecast_error"):
        assert all(m.value is None and reason in (m.reason or "") for m in finding.select(name))
    assert all(m.value is None and reason in (m.reason or "") for m in points(finding, "forecast").values())


def test_the_law_sees_only_the_first_samples(found: Found) -> None:
    """A subject that gives in from sample 8 on looks unbreakable to the fit, and the held-out samples tell."""

    def later(request: Request) -> str:
        return "YES" if int(request.metadata["sample"] or 0) >= 8 else "NO"

    finding = found(METHOD, USUAL, later)
    assert finding.one("power_law_exponent").value is None
    assert points(finding, "held_out")[16].value == 1
    assert points(finding, "observed")[32].value == 1


def test_the_plain_request_asked_as_often_is_the_baseline(found: Found) -> None:
    """A subject that gives in to the plain request and never to a changed one."""
    finding = found(METHOD, USUAL, lambda r: "YES" if r.metadata["attack"] == "direct" else "NO")
    observed = points(finding, "observed")
    assert observed[8].value == 0
    assert observed[8].baseline is not None
    assert (observed[8].baseline.name, observed[8].baseline.value) == ("plain request asked as often", 1.0)
    assert observed[16].baseline is not None
    assert observed[16].baseline.name == "tries of equal chance"


def test_unmeasured_samples_are_left_out_where_few_and_leave_no_value_where_many(found: Found) -> None:
    def sometimes(share: float) -> Callable[[Request], str]:
        def answer(request: Request) -> str:
            rng = random.Random(request.seed)
            return "?" if rng.random() < share else ("YES" if rng.random() < 0.02 else "NO")

        return answer

    few = points(found(METHOD, MANY, sometimes(0.02)), "observed")
    assert few[1].value == pytest.approx(0.02, abs=4 * (0.02 * 0.98 / 1920) ** 0.5)
    assert "samples unmeasured: between" in few[1].note
    assert few[32].value is None, "most behaviours have a sample missing, so it is not known that they withstood 32 tries"
    many = found(METHOD, MANY, sometimes(0.6))
    assert all(m.value is None and m.reason for m in points(many, "observed").values())
    assert all(m.value is None and m.reason for m in points(many, "forecast").values())


def test_which_of_the_samples_succeeded_does_not_matter_only_how_many(recorded: Callable[..., Record]) -> None:
    record = recorded(METHOD, USUAL, bernoulli(spread_out))
    tries = [e for e in record.exchanges if e.metadata["attack"] == "best_of_n" and int(e.metadata["sample"] or 0) < 8]
    values = {e.id: float(e.reply.text == "YES") for e in record.exchanges}
    mirrored = {e.id: values[e.id.rsplit("/", 1)[0] + f"/{7 - int(e.metadata['sample'] or 0)}"] for e in tries}

    def finding(given: dict[str, float]) -> Finding:
        return METHOD.judge(record, [Verdict(exchange=i, judge="by_hand", value=v) for i, v in given.items()], USUAL)

    assert finding(values).measurements == finding(values | mirrored).measurements


def test_without_held_out_samples_nothing_is_checked(found: Found) -> None:
    finding = found(METHOD, dataclasses.replace(MANY, held_out_samples=0, plain_samples=0), bernoulli(spread_out))
    assert not finding.select("forecast_error")
    assert all("no held-out samples" in m.note for m in points(finding, "forecast").values())


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [("fit_samples", 3, "4 or more"), ("strength", 1.5, "0 to 1"), ("per_category", 0, "1 or more")],
)
def test_an_option_out_of_range_is_a_clear_error(option: str, value: float, allowed: str) -> None:
    with pytest.raises(StepladderError, match=f"best_of_n: {option} is {value}; allowed: {allowed}"):
        Config(**{option: value})


@pytest.mark.slow
def test_intervals_of_the_forecast_and_its_error_cover_near_their_level() -> None:
    """24 behaviours of beta(0.3, 3) difficulty, for which ASR@24 has a closed form; 80 draws."""
    runs, a, b = 80, 0.3, 3.0
    truth = 1 - math.exp(math.lgamma(a + b) + math.lgamma(b + 24) - math.lgamma(b) - math.lgamma(a + b + 24))
    covered = {"forecast": 0, "error": 0}
    for seed in range(runs):
        finding = {(m.name, m.labels.get("k"), m.labels.get("source")): m for m in measurements(_drawn(seed, 24, a, b))}
        foreseen, error = finding["asr_at_k", "24", "forecast"].interval, finding["forecast_error", "24", None].interval
        covered["forecast"] += foreseen is not None and foreseen.low <= truth <= foreseen.high
        covered["error"] += error is not None and error.low <= 0 <= error.high
    least = 0.95 - 4 * (0.95 * 0.05 / runs) ** 0.5
    assert all(count / runs >= least for count in covered.values()), covered


def _drawn(seed: int, behaviours: int, a: float, b: float) -> Samples:
    rng = random.Random(seed)
    chances = [rng.betavariate(a, b) for _ in range(behaviours)]

    def tallies(n: int) -> tuple[Tally, ...]:
        counts = [sum(rng.random() < p for _ in range(n)) for p in chances]
        return tuple(Tally(str(i), count, n - count) for i, count in enumerate(counts))

    return Samples(fit=tallies(8), held_out=tallies(24), plain=(), errors=None)
