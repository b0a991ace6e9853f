"""Answers → a table on the terminal, CSV, JSON lines or Parquet, row by row."""

import csv
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.finished.answers import Answer
from pipeline.progress import show
from pipeline.writing import replacing

Sink = Callable[[Answer], None]

_TOP = pa.list_(pa.struct([("class", pa.string()), ("probability", pa.float32())]))
_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("class", pa.string()),
        ("probability", pa.float32()),
        ("top", _TOP),
        ("label", pa.string()),
        ("sha256", pa.string()),
        ("error", pa.string()),
    ]
)
# Rows of a Parquet file that are kept until they are written.
ROWS = 10_000


@contextmanager
def opened(to: Path | None) -> Iterator[Sink]:
    """Where answers go: a file by its suffix, which is there when all are written, or the terminal.

    Raises InputError for a suffix that is none of these, ResourceError where the file cannot be written.
    """
    if to is None:
        yield _shown
        return
    if to.suffix not in FORMATS:
        raise InputError(f"{to}: answers are written as {', '.join(FORMATS)}; give the file one of these suffixes")
    if to.is_dir():
        raise InputError(f"{to}: a folder; name a file")
    if not to.absolute().parent.is_dir():
        raise InputError(f"{to}: there is no folder {to.parent}; make it first")
    with replacing(to) as partial, FORMATS[to.suffix](partial) as sink:
        yield sink


def _shown(answer: Answer) -> None:
    """One line: path, class, probability; what else is likely; and a label that it missed."""
    if answer.error:
        show(f"{answer.path}  –  {answer.error}")
        return
    (best, probability), *others = answer.top
    rest = "  " + ", ".join(f"{name} {value:.1%}" for name, value in others) if others else ""
    missed = f"  (in folder {answer.label})" if answer.label and answer.label != best else ""
    show(f"{answer.path}  {best}  {probability:.1%}{rest}{missed}")


def _row(answer: Answer) -> dict[str, Any]:
    best, probability = answer.top[0] if answer.top else (None, None)
    return {
        # Names that are no text are bytes to the system, and told as what comes nearest.
        "path": os.fsencode(answer.path).decode("utf-8", "replace"),
        "class": best,
        "probability": probability,
        "top": [{"class": name, "probability": value} for name, value in answer.top],
        "label": answer.label,
        "sha256": answer.sha256,
        "error": answer.error,
    }


@contextmanager
def _csv(path: Path) -> Iterator[Sink]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _SCHEMA.names)
        writer.writeheader()

        def write(answer: Answer) -> None:
            top = "; ".join(f"{name} {value:.4f}" for name, value in answer.top)
            writer.writerow({**_row(answer), "top": top})

        yield write


@contextmanager
def _json_lines(path: Path) -> Iterator[Sink]:
    with path.open("w", encoding="utf-8") as file:
        yield lambda answer: _write_line(file, answer)


def _write_line(file: TextIO, answer: Answer) -> None:
    file.write(json.dumps(_row(answer), ensure_ascii=False) + "\n")


@contextmanager
def _parquet(path: Path) -> Iterator[Sink]:
    waiting: list[dict[str, Any]] = []
    with pq.ParquetWriter(path, _SCHEMA, compression="zstd") as writer:

        def write(answer: Answer) -> None:
            waiting.append(_row(answer))
            if len(waiting) >= ROWS:
                flush(waiting)

        def flush(rows: list[dict[str, Any]]) -> None:
            writer.write_table(pa.Table.from_pylist(rows, _SCHEMA))
            rows.clear()

        yield write
        flush(waiting)


FORMATS = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}
