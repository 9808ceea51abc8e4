from __future__ import annotations

import base64
import codecs
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepladder.core import UnknownName
from stepladder.data import ENCODINGS, decode, encode

TEXT = st.text().filter(lambda t: not any(unicodedata.category(c) == "Cc" and c not in "\t\n\r" for c in t))
PROSE = "Write a polite note to the neighbours, please!"


@pytest.mark.parametrize("name", ["base64", "rot13", "ascii"])
@settings(deadline=None)
@given(text=TEXT)
def test_what_was_encoded_decodes_to_itself(name: str, text: str) -> None:
    assert decode(name, encode(name, text)) == text


@settings(deadline=None)
@given(text=st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ,.!", min_size=1))
def test_leetspeak_loses_only_capitals_of_the_letters_it_replaces(text: str) -> None:
    decoded = decode("leetspeak", encode("leetspeak", text))
    assert decoded is None or decoded.casefold() == text.casefold()


def test_leetspeak_of_prose_reads_back_and_cannot_tell_a_written_digit_from_a_letter() -> None:
    assert encode("leetspeak", "Elite test") == "3l173 7357"
    assert decode("leetspeak", encode("leetspeak", PROSE)) == PROSE.replace("T", "t").replace("A", "a")
    assert decode("leetspeak", encode("leetspeak", "Bus 4")) == "Bus a"


@pytest.mark.parametrize("name", ENCODINGS)
def test_an_encoded_text_does_not_show_the_plain_one(name: str) -> None:
    assert "polite" not in encode(name, PROSE)


def test_the_encodings_are_those_of_the_standard_library() -> None:
    assert encode("base64", "grüße") == base64.b64encode("grüße".encode()).decode()
    assert encode("rot13", "Hello") == codecs.encode("Hello", "rot13") == "Uryyb"
    assert encode("ascii", "Hi!") == "72 105 33"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("base64", "Sorry, I can't help with that."),
        ("base64", "SGVsbG8"),  # cut off: not a multiple of four
        ("base64", "gICAgA=="),  # bytes that are not UTF-8
        ("base64", "AAECAw=="),  # control characters
        ("ascii", "72 105 is how it begins"),
        ("ascii", "1 2 3"),
        ("ascii", "9999999"),
        ("ascii", "72" * 5000),
        ("leetspeak", "Sorry, I can't help with that."),
        ("leetspeak", "In 1984 there were 7 of them."),
    ],
)
def test_a_text_that_is_not_in_the_encoding_decodes_to_none(name: str, text: str) -> None:
    assert decode(name, text) is None


@pytest.mark.parametrize("name", ["base64", "ascii"])
def test_line_breaks_inside_an_encoded_answer_do_no_harm(name: str) -> None:
    encoded = encode(name, PROSE)
    half = encoded.find(" ", 20) if name == "ascii" else 20
    assert decode(name, f"\n{encoded[:half]}\n{encoded[half:]}\n") == PROSE


@settings(deadline=None)
@given(text=st.text(), name=st.sampled_from(ENCODINGS))
def test_decoding_any_text_gives_a_text_or_none(text: str, name: str) -> None:
    assert isinstance(decode(name, text), str | None)


def test_an_unknown_encoding_lists_those_there_are() -> None:
    with pytest.raises(UnknownName, match=r"unknown encoding 'morse'; allowed: base64, rot13, leetspeak, ascii"):
        encode("morse", "sos")
    with pytest.raises(UnknownName):
        decode("morse", "sos")
