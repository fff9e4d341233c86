"""What a label is: one or several class names, in any of the forms that people give."""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterable, Mapping, Set
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

LABEL_SEPARATOR = ";"
Label = str | int | bool

_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_QUOTES = re.compile(_QUOTED)
_LIST_OF_QUOTED = re.compile(rf"\s*(?:{_QUOTED}\s*,?\s*)+")
_BRACKETS = {"[": "]", "(": ")", "{": "}"}
_JOINERS = "\u200c\u200d"
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNREADABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


@lru_cache(maxsize=65536)
def class_name(text: str) -> str:
    """The normal form of a class name: composed, without invisible characters and outer spaces.

    Joiners stay between characters of scripts that need them.

    Raises
    ------
    ValueError
        If the text cannot be a name.

    Examples
    --------
    >>> class_name(" cafe\\u0301 \\u200b au  lait ") == "café au lait"
    True
    """
    stripped = text.strip()
    if is_unreadable(stripped):
        raise ValueError(
            f"found the label {text!r}, expected readable characters in UTF-8, without line breaks"
        )
    plain = unicodedata.normalize("NFC", stripped)
    around = zip(f" {plain}", plain, f"{plain[1:]} ", strict=False)
    seen = (c for before, c, after in around if not _is_invisible(c, before, after))
    # Without what stood between, an accent may follow its letter.
    name = " ".join(unicodedata.normalize("NFC", "".join(seen)).split())
    if not name:
        raise ValueError(f"found the label {text!r}, which nobody can see; expected a name")
    if LABEL_SEPARATOR in name:
        raise ValueError(
            f"found the label '{name}', but '{LABEL_SEPARATOR}' separates labels; leave it out"
        )
    return name


def is_unreadable(text: str) -> bool:
    """Whether a text has characters that control, break lines or change text direction."""
    return any(unicodedata.category(c) in _UNREADABLE or c in _TURNING for c in text)


def read_labels(item: Any, separator: str = LABEL_SEPARATOR) -> tuple[Label, ...]:
    """The labels in a cell of a table or an item of a sequence.

    Parameters
    ----------
    item : str, bytes, whole number, bool, several of them, or none (None, NaN, NA)
        A text may be a list as programs write it, or several names with a separator.
    separator : str
        Stands between the names of a text.

    Returns
    -------
    tuple of str, int or bool
        Names in their normal form, numbers as plain ones; empty for no label.

    Raises
    ------
    ValueError
        For anything else, a name that cannot be one, or one that occurs twice.

    Examples
    --------
    >>> read_labels("Rain; wet"), read_labels("['cat', 'dog']"), read_labels(np.bytes_("dog"))
    (('Rain', 'wet'), ('cat', 'dog'), ('dog',))
    >>> read_labels(np.float64(3)), read_labels("[]"), read_labels(None)
    ((3,), (), ())
    """
    labels = tuple(_found(item, separator))
    if len({str(label) for label in labels}) != len(labels):
        raise ValueError(f"found a label twice in {item!r}, expected once")
    return labels


def _found(item: Any, separator: str) -> Iterable[Label]:
    if isinstance(item, bytes):
        try:
            item = item.decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"found the label {item!r}, expected UTF-8") from error
    if isinstance(item, str):
        return [class_name(part) for part in _parts(item, separator) if part.strip()]
    if isinstance(item, np.ndarray) and item.ndim == 0:
        item = item.item()
    if isinstance(item, (bool, np.bool_)):
        return [bool(item)]
    if isinstance(item, (int, np.integer)):
        return [int(item)]
    if isinstance(item, Iterable) and not isinstance(item, Mapping):
        found = [label for part in item for label in _found(part, separator)]
        return sorted(found, key=str) if isinstance(item, Set) else found
    if pd.api.types.is_scalar(item) and pd.isna(item):
        return []
    if isinstance(item, (float, np.floating)) and float(item).is_integer():
        return [int(item)]  # as pandas keeps whole numbers in a column that also has none
    raise ValueError(
        f"found {item!r} ({type(item).__name__}), expected a name, a whole number (not a "
        "continuous value), several of them, or None"
    )


def _parts(text: str, separator: str) -> list[str]:
    """The names in a text: a list as Python, NumPy or JSON write it, or with a separator."""
    plain = text.strip()
    if len(plain) < 2 or _BRACKETS.get(plain[0]) != plain[-1]:
        return plain.split(separator)
    inner = plain[1:-1]
    if _LIST_OF_QUOTED.fullmatch(inner):
        return [str(ast.literal_eval(quoted)) for quoted in _QUOTES.findall(inner)]
    return inner.split(",") if plain[0] == "[" else plain.split(separator)


def _is_invisible(c: str, before: str, after: str) -> bool:
    if unicodedata.category(c) != "Cf":
        return False
    return c not in _JOINERS or before.isascii() or after.isascii()
