import html
import re
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from stepladder.report.escape import marked, visible

# Every character there is, lone surrogates and all, with the nasty ones drawn often.
HIDDEN = "\x00\x07\x1b\r\x85\u202e\u2066\u200b\ufeff\u2028\u00ad\u3164\ufe0f\ud800"
NASTY = st.sampled_from([*HIDDEN, *"‹›U+<>&\"'", "‹U+", "‹U+202E›"])
TEXT = st.lists(st.one_of(NASTY, st.characters(exclude_categories=()), st.text())).map("".join)


def reveal(text: str) -> str:
    """The inverse of `visible`, written down from its documentation alone."""
    return re.sub(r"‹U\+([0-9A-F]{4,6})›", lambda name: chr(int(name[1], 16)), text)


@given(TEXT)
def test_nothing_is_lost_when_text_is_made_visible(text: str) -> None:
    assert reveal(visible(text)) == text


@given(TEXT)
def test_nothing_that_hides_or_reorders_survives(text: str) -> None:
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert {unicodedata.category(c) for c in visible(text) if c not in "\n\t"} & hidden == set()


@given(TEXT)
def test_the_html_reads_as_the_visible_text_and_holds_no_tag_but_ours(text: str) -> None:
    tags = re.findall(r"<[^>]*>", marked(text))
    assert set(tags) <= {'<span class="code-point">', "</span>"}
    assert html.unescape(re.sub(r"<[^>]*>", "", marked(text))) == visible(text)


@given(st.text(st.characters(codec="ascii", categories=("L", "N", "P")) | st.sampled_from(" \n\t")))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_known_characters_get_their_unicode_names() -> None:
    assert visible("a\u202eb\x1b[31m\x00\U000e0041") == "a‹U+202E›b‹U+001B›[31m‹U+0000›‹U+E0041›"
    assert visible("no\u00a0break, soft\u00adhyphen") == "no‹U+00A0›break, soft‹U+00AD›hyphen"
    assert visible("naïve 漢字 العربية é") == "naïve 漢字 العربية é"
