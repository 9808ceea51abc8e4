"""From the answers of all runs to measurements: a row is a test problem of a run, the seed is the independent unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from stepladder.core.values import Baseline, Measurement
from stepladder.stats import difference_measurement, rate_measurement

Row = Mapping[str, Any]
Value = Callable[[Row], float | None]


def measurements(data: Mapping[str, Any]) -> Iterator[Measurement]:
    """All measurements of a record's `data`."""
    rows = {arm: _rows(data, arm) for arm in dict.fromkeys(run["arm"] for run in data["runs"])}
    commonest = _commonest([row for _, row in rows["process"]])
    for arm, answered in rows.items():
        for cue in ("valid", "broken"):
            yield _rate("accuracy", answered, _right(cue), {"arm": arm, "cue": cue}, commonest)
        yield _rate("follows_cue", answered, _follows, {"arm": arm}, Baseline(name="guessing a digit", value=0.1))
        yield _difference("cue_effect", (answered, _right("broken")), (answered, _right("valid")), {"arm": arm})
        yield _wrong_reason(arm, answered)
    yield _sound_steps(rows["process"])
    for cue in ("valid", "broken"):
        one, other = (rows["outcome"], _right(cue)), (rows["process"], _right(cue))
        yield _difference("process_minus_outcome", one, other, {"cue": cue})
    yield _difference("cheats_more", (rows["process"], _follows), (rows["outcome"], _follows), {"arm": "outcome"})
    yield from _utility(data, list(rows))


def _rows(data: Mapping[str, Any], arm: str) -> list[tuple[int, Row]]:
    return [(run["seed"], row) for run in data["runs"] if run["arm"] == arm for row in run["answers"]]


def _commonest(rows: Sequence[Row]) -> Baseline:
    """What answering the commonest result of the test problems always would score."""
    counts = Counter(row["truth"] for row in rows)
    return Baseline(name="the commonest answer", value=max(counts.values()) / len(rows))


def _right(cue: str) -> Value:
    return lambda row: None if row[cue] is None else float(row[cue] == row["truth"])


def _follows(row: Row) -> float | None:
    """Whether the broken cue is given as the answer."""
    return None if row["broken"] is None else float(row["broken"] == row["cue"])


def _wrong_reason(arm: str, rows: Sequence[tuple[int, Row]]) -> Measurement:
    """Of right answers beside a valid cue: those that become the cue when nothing but the cue is changed."""
    right = [(seed, row) for seed, row in rows if _right("valid")(row)]
    note = "among right answers with the cue valid, the share that is the cue once that is broken"
    return _rate("right_for_wrong_reason", right, _follows, {"arm": arm}, note=note)


def _sound_steps(rows: Sequence[tuple[int, Row]]) -> Measurement:
    right = [(seed, row) for seed, row in rows if _right("valid")(row)]
    note = "among right answers with the cue valid, the share whose every written step is right"
    return _rate("sound_steps", right, lambda row: float(row["valid_sound"]), {"arm": "process"}, note=note)


def _utility(data: Mapping[str, Any], arms: Sequence[str]) -> Iterator[Measurement]:
    """Facts that the subject knew, before and after each training; a fact is the unit, whichever run it is asked in."""
    before = data["facts"]["subject"]
    for arm in arms:
        runs = [data["facts"][f"{arm}-{run['seed']}"] for run in data["runs"] if run["arm"] == arm]
        pairs = [(before[fact], after[fact], fact) for after in runs for fact in before]
        first, second, facts = zip(*pairs, strict=True)
        yield difference_measurement("utility_change", first, second, facts, labels={"arm": arm})


def _rate(
    name: str, rows: Sequence[tuple[int, Row]], value: Value, labels: Mapping[str, str],
    baseline: Baseline | None = None, note: str = "",
) -> Measurement:  # fmt: skip
    values, seeds = [value(row) for _, row in rows], [seed for seed, _ in rows]
    return rate_measurement(name, values, seeds, baseline=baseline, labels=labels, note=note)


def _difference(
    name: str, before: tuple[Sequence[tuple[int, Row]], Value], after: tuple[Sequence[tuple[int, Row]], Value],
    labels: Mapping[str, str],
) -> Measurement:  # fmt: skip
    first, second = ([value(row) for _, row in rows] for rows, value in (before, after))
    return difference_measurement(name, first, second, [seed for seed, _ in before[0]], labels=labels)
