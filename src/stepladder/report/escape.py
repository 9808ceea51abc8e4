"""Model text made visible: nothing that hides, reorders or clears text survives, and nothing is dropped.

Every character that a reader could not see, or that moves what she sees, is replaced by its code point between guillemets:
a right-to-left override becomes ``‹U+202E›``. The mapping has an inverse, because a literal ``‹U+`` in the text has its
own guillemet written out. HTML escaping comes after, in the templates, so that ``‹U+...›`` can be marked up there.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

# Letters and marks that draw nothing, besides the categories below: fillers, variation selectors, the blank Braille cell.
_BLANK = frozenset([0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0])
_HIDDEN_CATEGORIES = frozenset(["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"])
_NAME = re.compile(r"‹U\+[0-9A-F]{4,6}›")


def _is_hidden(char: str) -> bool:
    code = ord(char)
    if char in "\n\t":
        return False
    selector = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF or 0x180B <= code <= 0x180F
    odd_space = unicodedata.category(char) == "Zs" and char != " "
    return unicodedata.category(char) in _HIDDEN_CATEGORIES or code in _BLANK or selector or odd_space


def visible(text: str) -> str:
    """The same text with every unseen character named by its code point; line feeds and tabs stay."""
    guarded = text.replace("‹U+", "‹U+2039›U+")
    if guarded.isascii() and guarded.replace("\n", "").replace("\t", "").isprintable():
        return guarded
    return "".join(f"‹U+{ord(char):04X}›" if _is_hidden(char) else char for char in guarded)


def marked(text: str) -> Markup:
    """HTML of `visible(text)`: escaped, with the named characters in a ``<span class="code-point">``."""
    from markupsafe import Markup, escape

    return Markup(_NAME.sub(lambda name: f'<span class="code-point">{name[0]}</span>', str(escape(visible(text)))))


def clip(text: str, limit: int) -> tuple[str, int]:
    """The first `limit` characters, and how many more there are."""
    return text[:limit], max(0, len(text) - limit)
