"""Files that a user may get wrong: every message names the file, the line and what is allowed."""

from __future__ import annotations

import contextlib
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepladder.core import DataError
from stepladder.data import (
    load_behaviours,
    load_constitution,
    load_ordinary,
    load_policy,
    load_templates,
    read_behaviours,
    synthesize_prompts,
)
from stepladder.data.files import SHIPPED, parse_yaml
from stepladder.data.tables import read_table

HEADER = "title: T\nversion: 1\nlicence: L\n"


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(dedent(text), "utf-8")
    return path


def message(error: pytest.ExceptionInfo[DataError]) -> str:
    text = str(error.value)
    assert "\n" not in text, "one line"
    return text


LOADERS = {
    "a.yaml": load_policy,
    "b.yaml": load_behaviours,
    "c.yaml": load_ordinary,
    "d.yaml": load_templates,
    "e.md": load_constitution,
    "f.csv": read_behaviours,
    "g.jsonl": read_behaviours,
    "h.json": read_behaviours,
}


@pytest.mark.parametrize(("name", "load"), LOADERS.items())
def test_missing_empty_binary_and_folder_are_each_named(name: str, load, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "größe" / name
    with pytest.raises(DataError, match="no such file") as error:
        load(path)
    assert str(path) in message(error)
    path.parent.mkdir()
    path.write_bytes(b" \n ")
    with pytest.raises(DataError, match="is empty"):
        load(path)
    path.write_bytes(b"one\ntwo\nth\x92ree")
    with pytest.raises(DataError, match=r":3: is not UTF-8 \(byte 0x92\); save it as UTF-8"):
        load(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match="is a folder"):
        load(path)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (
            "gates:\n  - name: a\n    measurement: m\n    bound: uper\n    limit: 0.1\n",
            7,
            "'uper' is not allowed here; allowed: upper, lower",
        ),
        (
            "gates:\n  - name: a\n    measurement: m\n    bound: upper\n    limit: lots\n",
            8,
            "a number is needed here, not 'lots'",
        ),
        ("gates:\n  - name: a\n    measurement: m\n    bound: upper\n    limit: .nan\n", 8, "a number is needed"),
        (
            "gates:\n  - name: a\n    measurement: m\n    bound: upper\n",
            5,
            "field 'limit' is missing; needed: name, measurement",
        ),
        (
            "gates:\n  - name: a\n    colour: red\n",
            6,
            "unknown field 'colour'; allowed: name, measurement, bound, limit, labels, why",
        ),
        ("gates: []\n", 4, "a list with at least one entry"),
        ("gates: 3\n", 4, "a list with at least one entry"),
        ("gates:\n  - 3\n", 5, "a mapping"),
        ("gates:\n  - name: a\n    name: b\n", 6, "field 'name' is given twice"),
        ("gates:\n  - &x {name: a}\n  - *x\n", 6, r"aliases \(\*name\) are not read"),
        ("gates: [\n", None, "is not YAML"),
        ("gates: 2024-13-45\n", None, "is not YAML"),
    ],
)
def test_a_faulty_policy_is_refused_with_line_and_allowed_values(
    text: str, line: int | None, problem: str, tmp_path: Path
) -> None:
    path = written(tmp_path, "policy.yaml", HEADER + text)
    with pytest.raises(DataError, match=problem) as error:
        load_policy(path)
    assert message(error).startswith(f"{path}:{line}:" if line else f"{path}")


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "policy.yaml", "title: T\nversion: 2\nlicence: L\ngates: [{}]\n")
    with pytest.raises(DataError, match=r"policy.yaml:2: version 2 is not known; allowed: 1"):
        load_policy(path)


def test_two_gates_of_one_name_are_refused(tmp_path: Path) -> None:
    gate = "  - {name: a, measurement: m, bound: lower, limit: 1}\n"
    with pytest.raises(DataError, match=r":6: gate 'a' is given twice"):
        load_policy(written(tmp_path, "policy.yaml", HEADER + "gates:\n" + gate * 2))


@settings(deadline=None)
@given(text=st.text(alphabet="abc:-[]{}&*!|>'\"\n \t#%@`,?0123", max_size=60))
def test_any_text_is_read_as_yaml_or_refused_with_a_data_error(text: str) -> None:
    with contextlib.suppress(DataError):
        parse_yaml(text, Path("x.yaml"))


@pytest.mark.parametrize("text", ["[" * 1500, "- " * 1500 + "a"])
def test_yaml_that_is_nested_absurdly_deep_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"nested too deeply|is not YAML"):
        parse_yaml(text, Path("x.yaml"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("behaviours:\n  c:\n    - {id: a, request: X, twin: X}\n", ":6: the twin is the same as the request"),
        ("behaviours:\n  c:\n    - {id: a, request: X}\n    - {id: a, request: Y}\n", ":7: id 'a' is given twice"),
        ("behaviours:\n  c:\n    - {id: a, request: X}\n    - {id: b, request: X}\n", ":7: this request is given twice"),
        ("behaviours:\n  c:\n    - {id: a, request: 3}\n", "a text is needed here, not 3"),
    ],
)
def test_faulty_behaviours_are_refused(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=problem):
        load_behaviours(written(tmp_path, "b.yaml", HEADER + text))


def test_behaviours_without_twins_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "b.yaml", HEADER + "behaviours:\n  c:\n    - {id: a, request: Fold a crane}\n")
    (behaviour,) = load_behaviours(path)
    assert (behaviour.id, behaviour.category, behaviour.request, behaviour.twin) == ("a", "c", "Fold a crane", None)


def test_repeated_ordinary_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r":6: this request is given twice"):
        load_ordinary(written(tmp_path, "o.yaml", HEADER + "ordinary:\n  a: [X]\n  b: [X]\n"))


def test_a_template_without_a_marker_is_refused_with_the_markers(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r":5: the template has no place for the request; allowed markers: \[REQUEST\], \[INSERT"
    ):
        load_templates(written(tmp_path, "t.yaml", HEADER + "templates:\n  - {id: a, text: hello}\n"))


CONSTITUTION = """\
---
title: T
version: 1
licence: L
---
Prose for people.

## Forms
- {request}
- Please {request}

## tea: Tea
### Harmful
Spoiling it.
### Harmless and near
Brewing it.
### Slots
- pot: the blue pot | the red pot
- cup: a cup | a mug
### Harmful templates
- salt {pot} before filling {cup}
### Harmless templates
- rinse {pot} before filling {cup}
### Harmful examples
- Throw the tea into the harbour at night
### Harmless examples
- Pour the tea into the cups at noon
"""


def test_a_small_constitution_is_read_whole(tmp_path: Path) -> None:
    constitution = load_constitution(written(tmp_path, "c.md", CONSTITUTION))
    (tea,) = constitution.categories
    assert constitution.forms == ("{request}", "Please {request}")
    assert (tea.id, tea.title, tea.harmful, tea.harmless) == ("tea", "Tea", "Spoiling it.", "Brewing it.")
    assert tea.slots == {"pot": ("the blue pot", "the red pot"), "cup": ("a cup", "a mug")}
    assert tea.harmful_templates == ("salt {pot} before filling {cup}",)
    assert tea.harmless_examples == ("Pour the tea into the cups at noon",)


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        (
            "---\ntitle: T",
            "title: T",
            1,
            "begins with a header between two lines '---'; its fields: title, version, licence",
        ),
        ("licence: L\n", "", 2, "field 'licence' is missing"),
        ("version: 1", "version: 7", 3, "version 7 is not known; allowed: 1"),
        ("## Forms", "## Shapes", 8, "section '## Forms' is missing"),
        ("- Please {request}", "- Please", 10, "a form has exactly one slot"),
        ("## tea: Tea", "## Tea", 12, "a category begins with '## id: Title'"),
        ("### Harmful\n", "### Harmfull\n", 13, "unknown part 'Harmfull'; allowed: Harmful, Harmless and near, Slots"),
        ("### Harmless and near\nBrewing it.\n", "", 12, "lacks the part '### Harmless and near'"),
        ("Brewing it.\n", "", 15, "'Harmless and near' has no text"),
        ("- cup: a cup | a mug", "- cup: a cup |", 19, "a slot is written"),
        ("- cup: a cup | a mug", "- cup: a cup | a cup", 19, "is given twice"),
        ("- cup: a cup | a mug", "- cup: a cup | a mug\n- jug: a jug", 17, "slot 'jug' is used by no template"),
        ("- salt {pot}", "- salt {kettle}", 21, r"unknown slot \{kettle\}; allowed: pot, cup"),
        ("- salt {pot}", "salt {pot}", 21, "is a list; each line begins with '- '"),
        ("- Pour the tea into the cups at noon\n", "", 26, "'Harmless examples' has no entries"),
        ("### Harmless examples\n", "### Harmful examples\n", 26, "'Harmful examples' is given twice"),
    ],
)
def test_a_faulty_constitution_is_refused_with_its_line(old: str, new: str, line: int, problem: str, tmp_path: Path) -> None:
    assert CONSTITUTION.count(old) == 1
    path = written(tmp_path, "c.md", CONSTITUTION.replace(old, new))
    with pytest.raises(DataError, match=problem) as error:
        load_constitution(path)
    assert message(error).startswith(f"{path}:") or "Forms" in problem
    if "Forms" not in problem:
        assert message(error).startswith(f"{path}:{line}:")


def test_a_constitution_without_categories_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no categories"):
        load_constitution(written(tmp_path, "c.md", CONSTITUTION.split("## tea")[0]))


def test_asking_a_constitution_for_more_than_it_has_is_an_error_with_both_numbers(tmp_path: Path) -> None:
    constitution = load_constitution(written(tmp_path, "c.md", CONSTITUTION))
    assert len(synthesize_prompts(constitution, 3, 0, harmful=True)) == 3
    with pytest.raises(DataError, match=r"gives \d distinct harmful prompts; 50 were asked for"):
        synthesize_prompts(constitution, 50, 0, harmful=True)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("t.txt", "goal,target\n", r"unknown kind of table '.txt'; allowed: .csv, .json, .jsonl"),
        ("t.csv", "goal,target\n", "has no rows"),
        ("t.csv", "goal,goal\na,b\n", ":1: column 'goal' is given twice"),
        ("t.csv", 'goal,target\n"a\nb",c\nd\n', ":4: row has 1 cells, the header has 2"),
        ("t.csv", 'goal,target\n"a,b\n', ":2: is not csv"),
        ("t.jsonl", '{"goal": "a", "target": "b"}\n\n{"goal": \n', ":3: is not json"),
        ("t.jsonl", '{"goal": "a", "target": "b"}\n[1]\n', ":2: each line needs a json object"),
        ("t.json", '{"goal": "a"}', ":1: a json file needs a list"),
        ("t.json", "[1]", "entry 1 of the list is not an object"),
        ("t.json", "[\n{]", ":2: is not json"),
        ("t.json", "[]", "has no rows"),
        ("t.json", "[" * 100_000, "is not json"),
        ("t.json", "[" + "1" * 5000 + "]", "is not json|not an object"),
    ],
)
def test_a_faulty_table_is_refused_with_its_line(name: str, text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=problem):
        read_table(written(tmp_path, name, text))


def test_csv_rows_know_the_line_where_they_begin(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", '# made up=1\na,b\n1,"two\nlines"\n\n3,4\n')
    table = read_table(path)
    assert [row.line for row in table.rows] == [3, 6]
    assert table.comment == "# made up=1"
    assert table.rows[0].fields == {"a": "1", "b": "two\nlines"}


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfgoal,target\r\nx,y\r\n")
    assert read_table(path).columns == ("goal", "target")


def test_shipped_files_name_their_version_and_licence() -> None:
    for path in sorted(SHIPPED.iterdir()):
        text = path.read_text("utf-8")
        assert "\nversion: 1\n" in text
        assert "\nlicence: Apache-2.0\n" in text
