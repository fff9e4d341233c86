"""Tables in plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def plain_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns padded to one width; numbers are to be formatted by the caller."""
    table = [list(headers), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(headers))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)
