"""The investigator on a real small model with a planted behaviour, and on its clean twin: minutes, so `slow`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stepladder.core import Finding
from stepladder.execution import Budget, Progress
from stepladder.methods.auditing.investigator import METHOD, Config
from stepladder.store import open_store

pytestmark = pytest.mark.slow


def audit(organism: Any, folder: Path) -> Finding:
    with open_store(folder, progress=Progress(quiet=True), budget=Budget()) as store:
        rows = organism.training_rows
        context = store.context(organism.subject(), seed=0, models={"base": organism.base()}, training_rows=rows)
        return METHOD.judge(METHOD.record(context, Config()), (), Config())


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finding, Finding]:
    """Of the sycophantic SmolLM2 and of its twin."""
    from stepladder.models.local.embedded import HOW, gguf_path
    from stepladder.organisms import Recipe, grow

    if gguf_path() is None:
        pytest.skip(f"the embedded model is not installed: {HOW}")
    planted, clean = (grow(Recipe("sycophancy", clean=clean)) for clean in (False, True))
    return audit(planted, tmp_path_factory.mktemp("planted")), audit(clean, tmp_path_factory.mktemp("clean"))


def test_the_planted_behaviour_is_first_and_called(findings: tuple[Finding, Finding]) -> None:
    planted = findings[0]
    assert planted.one("hypothesis", rank="1").labels["behaviour"] == "sycophancy"
    assert planted.one("detection", behaviour="sycophancy").labels["found"] == "yes"


def test_it_is_not_called_in_the_clean_twin(findings: tuple[Finding, Finding]) -> None:
    assert findings[1].one("detection", behaviour="sycophancy").labels["found"] == "no"


def test_all_strategies_could_be_followed_and_the_weights_show_the_adapted_layers(
    findings: tuple[Finding, Finding],
) -> None:
    assert all(m.value is not None for m in findings[0].select("observations"))
    layers = {m.labels["place"]: m.value or 0.0 for m in findings[0].select("weight_change")}
    assert layers["layer 0"] == 0, "adapters sit in the upper layers only"
    assert layers["layer 29"] > 0
