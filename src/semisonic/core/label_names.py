"""What a label is: names of classes in one form, from anything that people give as labels.

Two texts that look alike are one class: composed and decomposed accents, as macOS writes the names
of folders, invisible characters, and spaces of any kind and number do not make another.
"""

from __future__ import annotations

import ast
import json
import math
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np

LABEL_SEPARATOR = ";"
GIVEN_NAMES = ("(unknown)", "(silence)", "(noise)")
"""The answers of a program for sounds of no class; nobody can call a class like this."""
_LISTS = {"[": "]", "(": ")", "{": "}"}
_ARRAY = re.compile(r"\[\s*(?P<items>'[^']*'(?:\s+'[^']*')+)\s*\]", re.S)
"""A list as numpy prints it, without commas."""
_SPACES = re.compile(r"[^\S\r\n\v\f\x1c-\x1f\x85\u2028\u2029]+")
_REMOVED = "Cf"  # formats: soft hyphen, zero-width space, byte order mark, direction
_JOINERS = "\u200c\u200d"  # letters of some scripts need them


@lru_cache(maxsize=1 << 16)
def class_name(text: str) -> str:
    """The name of a class in its normal form.

    Examples
    --------
    >>> class_name("cafe\\u0301") == class_name("caf\\u00e9 \\ufeff") == "caf\\u00e9"
    True
    >>> class_name("  House \\u00a0 cat")
    'House cat'
    """
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    plain = unicodedata.normalize("NFC", text)
    kept = (c for c in plain if unicodedata.category(c) != _REMOVED or c in _JOINERS)
    return _SPACES.sub(" ", "".join(kept)).strip().strip(_JOINERS)


def unreadable(text: str) -> bool:
    """Whether a text has characters that are invisible, break lines or are no Unicode."""
    if text.isascii() and text.isprintable():
        return False
    return any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text)


def name_fault(name: str) -> str:
    """Why a text cannot be the name of a class; empty if it can."""
    if not name:
        return "found a label without a name"
    if name.casefold() in GIVEN_NAMES:
        return f"found the label '{name}', which is the answer for sounds of no class; rename it"
    if LABEL_SEPARATOR in name:
        return f"found the label '{name}', but '{LABEL_SEPARATOR}' separates labels; leave it out"
    if unreadable(name):
        return f"found the label {name!r}, expected readable characters in UTF-8"
    return ""


def labels_of(item: Any, separator: str = LABEL_SEPARATOR) -> tuple[Any, ...]:
    """The labels that somebody gave for one clip.

    Parameters
    ----------
    item : object
        A text, with several labels between separators or as a list (``['dog', 'cat']``); bytes; a
        whole number, also as the float that pandas makes of it; a boolean of Python or numpy;
        several of these; or None, NaN or an empty text for none.
    separator : str

    Returns
    -------
    tuple of str, int or bool
        Names in their normal form, each once.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> labels_of("Rain; wet"), labels_of("['dog', 'cat']"), labels_of(np.bytes_("hen"))
    (('Rain', 'wet'), ('dog', 'cat'), ('hen',))
    >>> labels_of(3.0), labels_of(np.True_), labels_of(float("nan"))
    ((3,), (True,), ())
    """
    if isinstance(item, (bytes, bytearray)):
        try:
            item = bytes(item).decode("utf-8").rstrip("\0")
        except UnicodeDecodeError:
            raise ValueError(f"found {bytes(item)!r}, expected a name in UTF-8") from None
    if isinstance(item, str):
        return _labels_of_text(item, separator)
    if item is None:
        return ()
    if isinstance(item, (bool, np.bool_)):
        return (bool(item),)
    if isinstance(item, (int, np.integer)):
        return (int(item),)
    if isinstance(item, (float, np.floating)):
        if math.isnan(item):
            return ()
        if not float(item).is_integer():
            raise ValueError(_unknown(item))
        return (int(item),)
    if isinstance(item, np.ndarray) and item.ndim == 0:
        return labels_of(item.item(), separator)
    if isinstance(item, Iterable):
        several = sorted(item, key=str) if isinstance(item, (set, frozenset)) else item
        found = (label for one in several for label in labels_of(one, separator))
        return tuple(dict.fromkeys(found))
    if _is_missing(item):
        return ()
    raise ValueError(_unknown(item))


def _labels_of_text(text: str, separator: str) -> tuple[Any, ...]:
    plain = text.strip()
    if plain[:1] in _LISTS and plain[-1:] == _LISTS[plain[0]]:
        found = _list_in(plain)
        if found is not None:
            return labels_of(found, separator)
    names: dict[str, None] = {}
    for part in text.split(separator) if separator else [text]:
        if name := class_name(part):
            names[name] = None
        elif part.strip():
            raise ValueError(f"found {part!r}, which has nothing but invisible characters")
    return tuple(names)


def _list_in(text: str) -> list[Any] | None:
    """The items of a list that was written as text; None if it is none."""
    if match := _ARRAY.fullmatch(text):
        return re.findall(r"'([^']*)'", match["items"])
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
        if isinstance(found, (list, tuple, set)):
            return list(found)
    if text.startswith("["):
        inside = text[1:-1]
        return [part.strip().strip("'\"") for part in inside.split(",")] if inside.strip() else []
    return None


def _is_missing(item: Any) -> bool:
    """Whether a value is pandas' or another library's mark of nothing."""
    try:
        return bool(item != item) or type(item).__name__ in ("NAType", "NaTType")
    except TypeError:
        return type(item).__name__ in ("NAType", "NaTType")


def _unknown(item: Any) -> str:
    return (
        f"found {item!r} ({type(item).__name__}), expected a name, a whole number (not a "
        "continuous value), several of them, or None"
    )
