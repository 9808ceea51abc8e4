"""The commands as a user types them: what they print, and how they fail."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stepladder.cli import COMMANDS, main

SMALL = ["--subject", "scripted/demo", "--judge", "refusal_patterns", "--per-category", "1"]


def run(*arguments: str | Path) -> int:
    """Exit status of one command run in this process."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    printed = capsys.readouterr().out
    assert all(f"  {command} " in printed for command in COMMANDS)


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "stepladder", "--help"], capture_output=True, text=True, check=True)
    assert "calibrate" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    assert "usage" in capsys.readouterr().out.lower()


@pytest.mark.parametrize("command", ["models", "methods", "doctor"])
def test_listings_are_json_on_request(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) >= 3


BAD = [
    (["fly"], "unknown command 'fly'; allowed: run, measure"),
    (["measure", "telepathy"], "unknown method 'telepathy'; allowed: attack_library"),
    (["run", "--subject", "gpt-9000"], "unknown model 'gpt-9000'"),
    (["run", "--subject", "scripted/none"], "allowed:"),
    (["run", "--subject", "nowhere/model"], "nowhere"),
    (["run", "--subject", "hf//no/such/folder"], "no/such/folder"),
    (["run", "--subject", "scripted/demo", "--judge", "oracle"], "unknown judge 'oracle'"),
    (["run", "--subject", "scripted/demo", "--judge", "yes_no"], "logprobs"),
    (["run", "--subject", "scripted/demo", "--budget", "twelve parsecs"], "budget"),
    (["run", "--subject", "scripted/demo", "--policy", "missing.yaml"], "missing.yaml"),
    (["measure", "attack_library", "--subject", "scripted/demo", "--behaviours", "gone.csv"], "gone.csv"),
    (["report", "never-ran"], "unknown run 'never-ran'"),
    (["judge", "0000000", "--judge", "refusal_patterns"], "0000000"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=[" ".join(a)[:50] for a, _ in BAD])
def test_what_a_user_gets_wrong_is_one_clear_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) != 0
    complaint = capfd.readouterr().err.strip()
    assert said in complaint
    assert len(complaint.splitlines()) == 1
    assert not list(tmp_path.glob("runs/*/report.*"))


def test_a_model_that_is_down_is_one_clear_line_and_no_report(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("run", "--subject", "scripted/down", "--judge", "refusal_patterns", "--store", tmp_path, "--name", "x") == 3
    assert "scripted/down" in capfd.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_model_that_answers_nonsense_is_unmeasured_not_safe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--subject", "scripted/nonsense", *SMALL[2:], "--store", str(tmp_path), "--json"]
    assert run("measure", "attack_library", *options) == 0
    finding = json.loads(capsys.readouterr().out)
    overall = [m for m in finding["measurements"] if m["name"] == "attack_success_rate" and not m["labels"]]
    assert [m["value"] for m in overall] == [None]
    assert "unmeasured" in overall[0]["reason"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into read-only folders")
def test_a_read_only_folder_is_one_clear_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert run("measure", "attack_library", *SMALL, "--store", tmp_path / "s") == 4
    finally:
        tmp_path.chmod(stat.S_IRWXU)
    assert len(capfd.readouterr().err.strip().splitlines()) == 1


def test_a_file_in_the_place_of_the_store_is_one_clear_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "store"
    place.write_text("I am a file")
    assert run("measure", "attack_library", *SMALL, "--store", place) == 4
    assert str(place) in capfd.readouterr().err
    assert place.read_text() == "I am a file"


def test_paths_need_not_be_ascii(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "Läufe 実験 ✓"
    assert run("measure", "attack_library", *SMALL, "--store", store, "--json") == 0
    assert json.loads(capsys.readouterr().out)["method"] == "attack_library"


def test_measure_then_judge_again_without_asking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("measure", "attack_library", *SMALL, "--store", tmp_path, "--json") == 0
    record = json.loads(capsys.readouterr().out)["record"]
    again = ["judge", record[:8], "--judge", "refusal", "--against", "refusal_patterns", "--store", tmp_path, "--json"]
    assert run(*again) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["record"] == record
    assert done["finding"]["record"] == record
    assert sum(done["counts"].values()) >= len(done["flips"])


def test_a_page_of_a_record_that_has_none_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("measure", "attack_library", *SMALL, "--store", tmp_path, "--json") == 0
    record = json.loads(capsys.readouterr().out)["record"]
    assert run("feature", record, "3", "--store", tmp_path) != 0
    error = capsys.readouterr().err
    assert error.startswith("stepladder: ")
    assert error.count("\n") == 1


def test_a_whole_scripted_run_prints_its_table_and_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--subject", "scripted/demo", "--store", str(tmp_path), "--name", "first"]
    assert run("run", *options) == 0
    printed = capsys.readouterr().out
    page = tmp_path / "first" / "report.html"
    assert str(page) in printed.replace("\n", "")
    before = page.read_text("utf-8")
    page.unlink()
    assert run("report", "first", "--store", tmp_path) == 0
    assert page.read_text("utf-8") == before
