"""The whole way: organisms grown, techniques run, cells kept, summed up, drawn; stopped and gone on with."""

from __future__ import annotations

import dataclasses
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import calibration_fakes
import pytest
from calibration_fakes import FakeSubject, Nursery, make_detector, make_plan, score_of

from stepladder.calibration import Cell, Matrix, calibrate, known_calibrations, read_matrix
from stepladder.calibration import make_plan as real_plan
from stepladder.calibration import matrix as matrix_module
from stepladder.calibration.__main__ import main as ship
from stepladder.calibration.fill import CELL
from stepladder.calibration.shipped import shipped_matrix
from stepladder.calibration.table import table_rows
from stepladder.cli import main
from stepladder.core import BudgetExceeded, UnknownName
from stepladder.execution import Budget
from stepladder.methods import CATALOGUE
from stepladder.organisms import KINDS
from stepladder.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture(autouse=True)
def asked() -> list[str]:
    FakeSubject.asked = []
    return FakeSubject.asked


def cells(store: Store) -> list[Cell]:
    return list(store.calibrations(CELL, Cell).values())


def test_every_organism_and_twin_is_a_cell_with_the_call_that_the_technique_makes(store: Store) -> None:
    matrix = calibrate(store, make_plan([make_detector()], seeds=5), Nursery())
    found = cells(store)
    assert len(found) == 10
    for cell in found:
        recipe = next(r for r in _grown(5) if (r.seed, r.clean) == (cell.seed, cell.clean))
        assert cell.score == pytest.approx(score_of(recipe), abs=1e-6)
        assert cell.outcome == ("found" if score_of(recipe) > calibration_fakes.THRESHOLD else "absent")
    (calibration,) = matrix.calibrations
    (group,) = calibration.groups
    assert (group.organisms, group.twins) == (5, 5)
    assert group.found == sum(c.outcome == "found" for c in found if not c.clean)
    assert group.planted_rate == 1.0


def _grown(seeds: int) -> list[calibration_fakes.Recipe]:
    from stepladder.calibration.plan import subjects

    return [recipe for pair in map(subjects, make_plan([], seeds=seeds).recipes) for recipe in pair]


def test_what_is_known_costs_nothing_and_more_is_added_to_it(store: Store, asked: list[str]) -> None:
    nursery = Nursery()
    calibrate(store, make_plan([make_detector()], seeds=2), nursery)
    before = list(asked)
    calibrate(store, make_plan([make_detector()], seeds=2), nursery)
    assert asked == before
    assert len(nursery.grown) == 4
    matrix = calibrate(store, make_plan([make_detector()], seeds=3), nursery)
    assert len(asked) == len(before) + 2
    assert matrix.calibrations[0].groups[0].organisms == 3


def test_a_killed_run_goes_on_and_asks_nothing_twice(tmp_path: Path, store: Store) -> None:
    folder = os.path.dirname(__file__)

    def run(last: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, os.path.join(folder, "kill_calibrate.py"), str(tmp_path), str(last)]
        return subprocess.run(command, env=os.environ | {"PYTHONPATH": folder}, capture_output=True, text=True, check=False)

    (tmp_path / "asked").touch()
    assert run(6).returncode == -9
    assert len((tmp_path / "asked").read_text().splitlines()) == 5
    done = run(0)
    assert done.returncode == 0, done.stderr
    questions = (tmp_path / "asked").read_text().splitlines()
    assert len(questions) == len(set(questions)) == 2 * 8  # two techniques, four organisms and twins
    never_killed = calibrate(store, make_plan([make_detector("first"), make_detector("second")], seeds=4), Nursery())
    assert Matrix.from_json(done.stdout).calibrations == never_killed.calibrations


def test_ctrl_c_keeps_the_cells_and_still_draws_them(store: Store) -> None:
    class Stopped(Nursery):
        def __call__(self, recipe, task):  # type: ignore[no-untyped-def]
            if len(self.grown) == 3:
                raise KeyboardInterrupt
            return super().__call__(recipe, task)

    with pytest.raises(KeyboardInterrupt):
        calibrate(store, make_plan([make_detector()]), Stopped())
    assert len(cells(store)) == 3
    assert (store.folder / "calibration" / "index.html").exists()
    assert len(known_calibrations(store)) >= 1


def test_a_spent_budget_stops_between_cells(tmp_path: Path) -> None:
    with open_store(tmp_path, budget=Budget(seconds=1e-9)) as store, pytest.raises(BudgetExceeded):
        calibrate(store, make_plan([make_detector()]), Nursery())
    with open_store(tmp_path) as store:
        assert calibrate(store, make_plan([make_detector()]), Nursery()).calibrations[0].groups[0].organisms == 3


def test_a_failing_technique_stops_no_other_and_is_tried_again(store: Store) -> None:
    plan = make_plan([make_detector("broken", fail=True), make_detector("sound")])
    matrix = calibrate(store, plan, Nursery())
    broken, sound = matrix.calibrations
    assert (broken.groups[0].failed, broken.groups[0].organisms) == (6, 0)
    assert sound.groups[0].organisms == 3
    assert set(matrix.failed.values()) == {"RuntimeError: out of tea"}
    m = broken.one("sensitivity")
    assert m is not None
    assert m.value is None
    mended = make_plan([make_detector("broken"), make_detector("sound")])
    assert not calibrate(store, mended, Nursery()).failed


def test_a_plant_that_did_not_take_is_refused_and_its_twin_is_not_grown(store: Store) -> None:
    nursery = Nursery(refuse=(1,))
    matrix = calibrate(store, make_plan([make_detector()]), nursery)
    assert [(r.seed, r.clean) for r in nursery.grown] == [(0, False), (0, True), (1, False), (2, False), (2, True)]
    assert matrix.calibrations[0].groups[0].refused == 1
    assert list(matrix.refused) == ["sycophancy (smollm2, lora, dose 1, seed 1)"]
    calibrate(store, make_plan([make_detector()]), nursery)
    assert len(nursery.grown) == 5  # nor tried again


def test_techniques_that_detect_nothing_are_listed_and_grow_nothing(store: Store) -> None:
    nursery = Nursery()
    matrix = calibrate(store, make_plan([make_detector("blind", behaviours=())]), nursery)
    assert matrix.silent == {"blind": "detects nothing"}
    assert not nursery.grown
    other = calibrate(store, make_plan([make_detector("elsewhere", behaviours=("backdoor",))]), nursery)
    assert not nursery.grown
    assert "elsewhere" not in other.silent


def test_no_word_of_what_it_is_reaches_the_technique(store: Store) -> None:
    seen = []
    detector = make_detector()

    def spy(context, config):  # type: ignore[no-untyped-def]
        seen.append((context.subject.name, context.subject.fingerprint, {n: m.name for n, m in context.models.items()}))
        return detector.record(context, config)

    calibrate(store, make_plan([dataclasses.replace(detector, record=spy)]), Nursery())
    real = [s for s in seen if s[0] == "subject"]
    assert len(real) == 6
    assert all(models == {"base": "base"} for _, _, models in real)
    assert not any("sycophancy" in fingerprint for _, fingerprint, _ in real)


def test_what_a_technique_needs_is_measured_first_on_the_same_subject(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make_detector("first", behaviours=()), make_detector("second")
    second = dataclasses.replace(second, needs=("first",))
    named = {method.name: method for method in CATALOGUE} | {"first": first}
    for module in ("examine", "plan"):
        monkeypatch.setattr(f"stepladder.calibration.{module}.get_method", named.__getitem__)
    calibrate(store, make_plan([second], seeds=1), Nursery())
    assert {r.method for r in store.records()} == {"first", "second"}
    assert sum(r.method == "first" and r.subject == "subject" for r in store.records()) == 2
    assert all(cell.outcome != "failed" for cell in cells(store))


def test_cells_of_an_older_version_are_not_mixed_in(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    calibrate(store, make_plan([make_detector()]), Nursery())
    monkeypatch.setattr(matrix_module, "version", lambda method, judge: f"new {method.name}")
    assert not read_matrix(store, [make_detector()]).calibrations


def test_the_pictures_show_sensitivity_and_specificity_and_what_was_never_calibrated(store: Store) -> None:
    plan = make_plan([make_detector()], seeds=3, doses=(0.5, 1.0))
    matrix = calibrate(store, plan, Nursery())
    folder = store.folder / "calibration"
    group = next(g for g in matrix.calibrations[0].groups if g.dose == 1.0)
    drawn = (folder / "matrix.svg").read_text("utf-8")
    assert f"{group.found}/3 · {group.quiet}/3" in drawn
    assert "backdoor" in drawn
    assert drawn.count("#d9dde3") >= 9  # nine behaviours that it was never calibrated for
    assert "0.5" in (folder / "dose.svg").read_text("utf-8")
    assert not (folder / "scale.svg").exists()
    page = (folder / "index.html").read_text("utf-8")
    assert "http" not in page.replace("http://www.w3.org", "")
    assert len(table_rows(matrix)) == 1


def test_what_is_shipped_is_what_was_measured(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = calibrate(store, make_plan([make_detector()]), Nursery())
    monkeypatch.setattr("stepladder.calibration.__main__.read_matrix", lambda opened: matrix)
    assert ship([str(store.folder), str(tmp_path / "results.json")]) == 0
    assert shipped_matrix(tmp_path / "results.json") == matrix
    assert ship([]) == 2
    shipped_matrix()  # the one in the package can be read


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--methods", "telepathy"], "unknown method 'telepathy'"),
        (["--kinds", "telepathy"], "unknown kind of organism 'telepathy'"),
        (["--seeds", "0"], "seeds must be 1 or more"),
        (["--doses", "2"], "dose must lie in (0, 1]"),
        (["--bases", "scripted/demo"], "base 'scripted/demo'"),
    ],
)
def test_what_a_user_gets_wrong_is_one_line_before_anything_is_grown(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["calibrate", "--store", str(tmp_path), *arguments])
    complaint = capsys.readouterr().err.strip()
    assert said in complaint
    assert len(complaint.splitlines()) == 1


def test_the_command_prints_the_table_and_what_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    methods = [make_detector(), make_detector("blind", behaviours=())]
    monkeypatch.setattr("stepladder.calibration.make_plan", lambda *_: make_plan(methods))
    monkeypatch.setattr("stepladder.calibration.calibrate", functools.partial(calibrate, grow=Nursery(refuse=(2,))))
    monkeypatch.setenv("COLUMNS", "200")
    main(["calibrate", "--store", str(tmp_path)])
    printed = capsys.readouterr().out
    for part in ("detector", "sycophancy", "2/2", "blind: detects nothing", "the behaviour does not show", "index.html"):
        assert part in printed
    main(["calibrate", "--store", str(tmp_path), "--json"])
    assert Matrix.from_json(capsys.readouterr().out).calibrations[0].method == "detector"


def test_a_plan_has_a_bit_of_everything_first() -> None:
    plan = real_plan(bases=("smollm2", "scratch/1m"), seeds=2, doses=(0.3, 1.0))
    assert plan.methods == CATALOGUE
    anywhere = [kind for kind in KINDS.values() if not kind.base]
    assert len(plan.recipes) == (len(anywhere) * 2 + len(KINDS) - len(anywhere)) * 2 * 2
    assert len(set(plan.recipes)) == len(plan.recipes)
    assert {r.seed for r in plan.recipes[: len(plan.recipes) // 2]} == {0}
    assert {r.how for r in plan.recipes if r.base == "smollm2"} == {"lora"}
    assert {r.how for r in plan.recipes if r.base == "scratch/1m"} == {"full"}
    with pytest.raises(UnknownName):
        real_plan(kinds=("none",))
