"""The report in a real browser, from `file://`: one launch for all of these tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from stepladder.report import ReportInput, build_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip
HOSTILE = (
    "<script>document.title='owned';alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)></svg>"
    "</pre></style></title></details><style>body{display:none}</style>"
    "<meta http-equiv=refresh content='0;url=https://example.org'>"
    "\r\n{{ 7*7 }} {% include 'x' %} &lt;b&gt; javascript:alert(4) "
    "\x00\x1b[31mred\x07 \u202egnp.exe\u2066 \ud800 \ufeff\u2028 "
    + "A" * 5000
    + "e" + "\u0301" * 400
)  # fmt: skip

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@dataclass
class Visit:
    """A page that is open, and all that it did which it should not."""

    page: Any
    told: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def plain(given: ReportInput, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_report(given, tmp_path_factory.mktemp("plain"))[0]


@pytest.fixture(scope="module")
def hostile(make_input: Callable[..., ReportInput], tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = make_input(text=HOSTILE, title="Attack " + HOSTILE[:60])
    findings = {name: f.model_copy(update={"subject": HOSTILE, "limits": (HOSTILE,)}) for name, f in given.findings.items()}
    run = {"subject": HOSTILE, "command": HOSTILE, HOSTILE[:40]: {"nested": HOSTILE}}
    gates = [(HOSTILE, None, HOSTILE, HOSTILE, HOSTILE)]
    given = replace(given, findings=findings, run=run, gates=gates, limits=(HOSTILE,))
    return build_report(given, tmp_path_factory.mktemp("hostile"))[0]


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visit]]:
    opened = []

    def go(path: Path, width: int, dark: bool = False) -> Visit:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
        opened.append(page)
        seen = Visit(page)
        page.on("console", lambda message: seen.told.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: seen.told.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (seen.told.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda r: seen.told.append(f"request: {r.url}") if r.url != path.as_uri() else None)
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        return seen

    yield go
    for page in opened:
        page.close()


SMALLEST = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let least = [1000, ''];
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement, box = e.getBoundingClientRect();
    if (!walker.currentNode.textContent.trim() || !box.width || e.closest('.skip')) continue;
    let size = parseFloat(getComputedStyle(e).fontSize);
    const svg = e.closest('svg');
    if (svg) size *= svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    if (size < least[0]) least = [size, walker.currentNode.textContent];
  }
  return least;
}"""
OUTSIDE = """() => [...document.querySelectorAll('main *, header *, nav *')].filter(e => {
  const box = e.getBoundingClientRect();
  return box.width && box.right > innerWidth + 1 && !e.closest('.scroll') && !e.closest('svg');
}).map(e => e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 40))"""


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("which", ["plain", "hostile"])
def test_it_is_quiet_and_readable(
    visit: Callable[..., Visit], width: int, which: str, request: pytest.FixtureRequest
) -> None:
    seen = visit(request.getfixturevalue(which), width)
    assert seen.told == []
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.page.evaluate(OUTSIDE) == []
    size, text = seen.page.evaluate(SMALLEST)
    assert size >= 13.99, f"{size} px: {text}"


def test_wide_tables_scroll_inside_their_own_container(visit: Callable[..., Visit], plain: Path) -> None:
    page = visit(plain, 400).page
    widths = page.evaluate("[...document.querySelectorAll('.scroll')].map(e => [e.clientWidth, e.scrollWidth])")
    assert any(inner > outer for outer, inner in widths)
    assert page.evaluate("[...document.querySelectorAll('table')].every(t => t.closest('.scroll'))")


def test_hostile_text_is_inert_and_visible(visit: Callable[..., Visit], hostile: Path) -> None:
    seen = visit(hostile, 1280)
    page = seen.page
    assert page.title().startswith("Attack <script>document.title='owned'")
    assert page.evaluate("document.querySelectorAll('script, img, iframe, [onload], [onerror]').length") == 0
    assert page.evaluate("getComputedStyle(document.body).display") == "block"
    shown = page.inner_text("#transcripts")
    for part in (
        "<script>",
        "{{ 7*7 }}",
        "&lt;b&gt;",
        "‹U+0000›",
        "‹U+001B›[31m",
        "‹U+202E›gnp.exe‹U+2066›",
        "‹U+D800›",
        "‹U+000D›",
    ):
        assert part in shown
    whole = page.evaluate("document.documentElement.outerHTML")
    assert not set("\x00\x1b\u202e\u2066\ufeff\u2028") & set(whole)
    assert seen.told == []


def test_scripts_would_be_refused_even_if_one_got_in(visit: Callable[..., Visit], plain: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    text = plain.read_text("utf-8").replace(
        "<main>", "<main><script>document.title='owned'</script><img src='https://example.org/x'>"
    )
    broken.write_text(text, "utf-8")
    seen = visit(broken, 1280)
    assert seen.page.title() == "Run demo"
    refused = [told for told in seen.told if told.startswith("console")]
    assert len(refused) == 2
    assert all("Content Security Policy" in told for told in refused)


def test_pictures_are_seen_at_both_widths_and_legible_in_the_dark(visit: Callable[..., Visit], plain: Path) -> None:
    for width in (1280, 400):
        page = visit(plain, width, dark=True).page
        boxes = page.evaluate(
            "[...document.querySelectorAll('[role=img]')].map(e => [...e.querySelectorAll('svg.marks')]"
            ".map(s => s.getBoundingClientRect())"
            ".filter(b => b.width > 200 && b.height > 80 && b.right <= innerWidth).length)"
        )
        assert boxes == [1] * 7
    fill = page.evaluate("getComputedStyle(document.querySelector('.narrow text')).fill")
    assert min(int(part) for part in fill.removeprefix("rgb(").rstrip(")").split(",")) > 120
