import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given as given_that
from hypothesis import settings
from hypothesis import strategies as st

from stepladder.core import Measurement
from stepladder.report import ReportInput, charts, compose
from stepladder.report.comparison import Comparison, families, headline, tradeoff
from stepladder.report.page import render, strip

SVG = "{http://www.w3.org/2000/svg}"


def values(svg: str) -> list[dict[str, str]]:
    """The data that each drawn mark says it shows."""
    labels = [e.get("aria-label", "") for e in ElementTree.fromstring(svg).iter() if e.get("aria-roledescription")]
    return [dict(part.split(": ", 1) for part in label.split("; ") if ": " in part) for label in labels]


def test_the_family_picture_shows_every_value_and_interval(given: ReportInput) -> None:
    rows = families(given.findings)
    data = charts.rows(rows, ("before", "after"))
    drawn = values(charts.draw(charts.forest(data, "Attack success", charts.WIDE), "x"))
    points = [v for v in drawn if "Attack success" in v and "group" in v]
    for row in rows:
        name = row.quantity.replace("_", " ").replace("none", "direct")
        for condition, m in row.cells.items():
            if condition in ("before", "after") and m.value is not None:
                (point,) = [p for p in points if p["group"] == name and p["condition"] == condition]
                assert float(point["Attack success"].rstrip("%")) / 100 == pytest.approx(m.value, abs=0.006)
                (bar,) = [v for v in drawn if v.get("group") == name and v.get("condition") == condition and "low" in v]
                assert m.interval is not None
                assert float(bar["low"]) == pytest.approx(m.interval.low)
                assert float(bar["high"]) == pytest.approx(m.interval.high)


def test_an_unmeasured_family_is_written_out_and_has_no_point(given: ReportInput) -> None:
    data = charts.rows(families(given.findings), ("before", "after"))
    svg = charts.draw(charts.forest(data, "Attack success", charts.WIDE), "x")
    assert ">unmeasured<" in svg
    assert not [v for v in values(svg) if v.get("group") == "many shot" and v.get("condition") == "after" and "low" in v]


def test_the_tradeoff_picture_has_one_point_per_defence(given: ReportInput) -> None:
    points = tradeoff(given.findings)
    spec = charts.tradeoff(points, charts.NARROW)
    (data,) = spec["datasets"].values() if "datasets" in spec else [spec["data"]["values"]]
    assert {(row["condition"], row["value"], row["success"]) for row in data} == {
        (name, refused.value, success.value) for name, refused, success in points
    }
    assert [name for name, *_ in points] == ["before", "after", "after_tfidf", "after_random"]


def test_the_best_of_n_picture_keeps_forecast_and_observation_apart(given: ReportInput) -> None:
    data = charts.best_of_n_data(given.findings)
    expected = {
        (int(m.labels["k"]), m.labels["source"], condition, m.value)
        for condition, stage in (("before", "best_of_n"), ("after", "best_of_n_again"))
        for m in given.findings[stage].select("asr_at_k")
    }
    assert {(row["k"], row["source"], row["condition"], row["value"]) for row in data} == expected
    assert 'stroke-dasharray="6,4"' in charts.draw(charts.best_of_n(data, charts.WIDE), "x")


def test_the_outcome_bars_add_up_to_one_with_the_unmeasured_among_them(given: ReportInput) -> None:
    counts = [row for row in compose(given).outcomes if row.stage == "find"]
    drawn = [v for v in values(charts.draw(charts.outcome_bars(counts, charts.NARROW), "x")) if "outcome" in v]
    for row in counts:
        name = row.family.replace("_", " ").replace("none", "direct")
        shares = {v["outcome"]: float(v["Share of answers"].rstrip("%")) / 100 for v in drawn if v["family"] == name}
        assert set(shares) == set(row.counts)
        assert sum(shares.values()) == pytest.approx(1, abs=0.03)
        assert all(shares[o] == pytest.approx(n / 20, abs=0.006) for o, n in row.counts.items())


def test_every_colour_that_is_drawn_has_its_dark_twin(given: ReportInput) -> None:
    page = render(compose(given))
    drawings = "".join(re.findall(r'<div class="(?:wide|narrow)">(.*?)</div>', page, flags=re.DOTALL))
    drawn = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]{6})"', drawings))
    assert drawn
    assert drawn <= {light for light, _ in charts.PALETTE.values()}


def test_two_drawings_share_no_id(given: ReportInput) -> None:
    page = render(compose(given))
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))


@settings(max_examples=8, deadline=None)
@given_that(
    st.text(min_size=1, max_size=30), st.sampled_from(["<script>alert(1)</script>", '"><img src=x onerror=y>', "\u202e"])
)
def test_hostile_names_stay_text_in_a_drawing(name: str, attack: str) -> None:
    m = Measurement(name="attack_success_rate", value=0.5, unit="share", n=3)
    data = charts.rows([Comparison(name + attack, {"before": m})], ("before",))
    svg = charts.draw(charts.forest(data, "Attack success", charts.NARROW), "x")
    tags = {element.tag for element in ElementTree.fromstring(svg).iter()}
    assert tags <= {SVG + tag for tag in ("svg", "g", "path", "rect", "line", "text", "defs", "clipPath", "style")}
    assert "\u202e" not in svg


def test_the_strip_places_values_on_the_axis_of_their_unit() -> None:
    share = Measurement(name="m", value=0.25, unit="share", n=3)
    assert strip(share) == {"value": 27.0, "low": None, "high": None, "baseline": None, "zero": None}
    points = strip(Measurement(name="m", value=-0.5, unit="points", n=3))
    assert points is not None
    assert (points["value"], points["zero"]) == (27.0, 52.0)
    assert strip(Measurement(name="m", value=3.0, unit="queries", n=3)) is None


def test_the_main_table_pairs_each_quantity_with_itself(given: ReportInput) -> None:
    rows = {row.quantity: row.cells for row in headline(given.findings)}
    success = rows["Attack success, all attacks"]
    assert list(success) == ["before", "after", "after_tfidf", "after_random", "change"]
    assert success["after"] == given.findings["find_again"].measurements[0]
    assert rows["Attack success within 16 tries"]["before"].labels["k"] == "16"
    twins = rows["Refusals of harmless near-twins"]
    assert twins["after"] == given.findings["safeguards"].one("over_refusal", condition="after", kind="twin")
