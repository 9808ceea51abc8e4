"""Runs the examples of the pages: Python blocks, and console blocks whose shown output must come back (`...` skips)."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser


def run_console(example: Example) -> str | None:
    """Run every `$ ` line of the block; its output must match the lines under it."""
    for part in ("\n" + example.parsed).split("\n$ ")[1:]:
        line, _, expected = part.partition("\n")
        got = _output(line, example.namespace["folder"])
        if expected.strip() and not OutputChecker().check_output(expected, got, ELLIPSIS | NORMALIZE_WHITESPACE):
            return f"$ {line}\nexpected:\n{expected}\ngot:\n{got}"
    return None


def _output(line: str, folder: Path) -> str:
    command = [str(Path(sys.executable).with_name(word)) if i == 0 else word for i, word in enumerate(shlex.split(line))]
    width = os.environ | {"COLUMNS": "110"}
    done = subprocess.run(command, cwd=folder, env=width, capture_output=True, text=True)
    complaint = done.stderr if done.returncode else ""  # otherwise stderr holds nothing but progress
    return (done.stdout + complaint).rstrip() + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of its own for each page's commands."""
    return tmp_path_factory.mktemp("page")


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), CodeBlockParser("console", run_console)],
    patterns=["*.md", "methods/*.md"],
    fixtures=["folder"],
).pytest()
