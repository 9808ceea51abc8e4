"""Encodings in which a request can be hidden and an answer can come back: base64, rot13, leetspeak, ascii codes.

`decode(name, encode(name, text)) == text` for every text without control characters (tabs and line breaks are fine), except
leetspeak, which forgets whether a replaced letter was a capital and cannot tell a written 4 from an A. Attacks encode;
judges decode what comes back.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Callable

from stepladder.core import UnknownName

_LEET = str.maketrans("aeiostAEIOST", "431057431057")
_UNLEET = str.maketrans("431057", "aeiost")
_LEET_WORD = re.compile(r"[^\W\d_][431057]|[431057][^\W\d_]")
_CODES = re.compile(r"[0-9]{1,7}(?:[\s,]+[0-9]{1,7})*")


def encode(name: str, text: str) -> str:
    """`text` in the encoding called `name`; `UnknownName` lists the encodings."""
    return _pair(name)[0](text)


def decode(name: str, text: str) -> str | None:
    """What `text` says in the encoding called `name`, or `None` when it is not in that encoding.

    Every text is rot13 of some other text, so rot13 never gives `None`: which of the two readings is language is for the
    judge to say. Leetspeak is recognised by a letter next to one of the digits that stand for letters.
    """
    return _pair(name)[1](text)


def _pair(name: str) -> tuple[Callable[[str], str], Callable[[str], str | None]]:
    if name not in _ENCODINGS:
        raise UnknownName("encoding", name, ENCODINGS)
    return _ENCODINGS[name]


def _to_base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii")


def _from_base64(text: str) -> str | None:
    compact = "".join(text.split())
    try:
        return _readable(base64.b64decode(compact, validate=True).decode("utf-8", "surrogatepass"))
    except (binascii.Error, ValueError):
        return None


def _rot13(text: str) -> str:
    return codecs.encode(text, "rot13")


def _to_leet(text: str) -> str:
    return text.translate(_LEET)


def _from_leet(text: str) -> str | None:
    return text.translate(_UNLEET) if _LEET_WORD.search(text) else None


def _to_codes(text: str) -> str:
    return " ".join(str(ord(character)) for character in text)


def _from_codes(text: str) -> str | None:
    if not text.strip():
        return ""
    if not _CODES.fullmatch(text.strip()):
        return None
    codes = [int(code) for code in re.findall(r"[0-9]+", text)]
    return _readable("".join(map(chr, codes))) if max(codes) <= 0x10FFFF else None


def _readable(text: str) -> str | None:
    """`text`, or `None` if it holds control characters: bytes that happened to decode, not an answer."""
    controls = (c for c in text if unicodedata.category(c) == "Cc" and c not in "\t\n\r")
    return None if any(controls) else text


_ENCODINGS: dict[str, tuple[Callable[[str], str], Callable[[str], str | None]]] = {
    "base64": (_to_base64, _from_base64),
    "rot13": (_rot13, _rot13),
    "leetspeak": (_to_leet, _from_leet),
    "ascii": (_to_codes, _from_codes),
}
ENCODINGS = tuple(_ENCODINGS)
