"""Coverage in the hard corners of docs/coverage.md: a few seeds of each here, the page's full run when marked slow."""

import importlib.util
import json
import math
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
SCRIPT = DOCS / "_generate" / "coverage.py"
SHORT_OF_NOMINAL = {"BCa bootstrap: mean of 8 skewed clusters": 0.85}
"""What the page says of the one corner where no interval of ours reaches 92%."""


def load():
    spec = importlib.util.spec_from_file_location("stepladder_docs_coverage", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


generator = load()
CORNERS = {f"{corner.topic}: {corner.case}": corner for corner in generator.corners()}


@pytest.mark.parametrize("name", CORNERS)
def test_intervals_cover_at_least_92_percent_within_four_standard_errors(name):
    seeds = 40 if CORNERS[name].topic == "BCa bootstrap" else 150
    row = generator.simulate(CORNERS[name], seeds)
    floor = SHORT_OF_NOMINAL.get(name, 0.92)
    assert row["coverage"] >= floor - 4 * math.sqrt(floor * (1 - floor) / seeds)


def test_the_page_says_what_is_nominal_and_shows_every_corner():
    rows = json.loads((DOCS / "coverage.json").read_text("utf-8"))
    assert [f"{row['topic']}: {row['case']}" for row in rows] == list(CORNERS)
    for row in rows:
        assert row["coverage"] >= SHORT_OF_NOMINAL.get(f"{row['topic']}: {row['case']}", 0.92)
    assert generator.page(rows) == (DOCS / "coverage.md").read_text("utf-8")


@pytest.mark.slow
def test_the_page_is_what_its_script_computes():
    rows = [generator.simulate(corner) for corner in CORNERS.values()]
    stored = json.loads((DOCS / "coverage.json").read_text("utf-8"))
    for row, before in zip(rows, stored, strict=True):
        assert row["coverage"] == pytest.approx(before["coverage"], abs=0.002), row["case"]
