"""`predictions.parquet`: what a trial's chosen checkpoint answers to every sample, and how often it learnt from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError, reason
from pipeline.evaluation import EvaluationSet, Predictions, ZeroShot

# Rows that are read at a time, with the probabilities of all classes.
BATCH = 4096


@dataclass(frozen=True)
class Named:
    """Who names which sample how, (samples,) each: `inside` is the in split."""

    domain: np.ndarray
    inside: np.ndarray
    label: np.ndarray
    answer: np.ndarray
    teacher_answer: np.ndarray


@dataclass(frozen=True)
class Answers(Named):
    """All that `predictions.parquet` says, (samples,) each; a `confidence` is the probability of the answer beside it, of the
    student or of the teacher."""

    confidence: np.ndarray
    teacher_confidence: np.ndarray
    drawn: np.ndarray
    selected: np.ndarray


def table(
    ids: Sequence[str],
    judged: EvaluationSet,
    predictions: Predictions,
    zero_shot: ZeroShot,
    drawn: np.ndarray,
    selected: np.ndarray,
) -> pa.Table:
    """A row a sample of `samples.parquet`, in its order: `row`, `id` (the SHA-256 of its file, 32 bytes), `domain`, `split`
    (in or out), `label`, `answer`, `log_probabilities` (C half-precision natural logarithms: probabilities themselves would end
    at 2⁻²⁴, and with them what an ensemble sums), the teacher's `teacher_answer` and `teacher_probability`, and how often it was
    `drawn` and `selected` in the trial: not all that is drawn is learnt from."""
    count, classes = predictions.log_probabilities.shape
    flat = pa.array(predictions.log_probabilities.reshape(-1), pa.float16())
    return pa.table(
        {
            "row": pa.array(np.arange(count), pa.int64()),
            "id": pa.array([bytes.fromhex(one) for one in ids], pa.binary(32)),
            "domain": pa.array([judged.names[at] for at in judged.domains], pa.string()),
            "split": pa.array(["out" if out else "in" for out in judged.out], pa.string()),
            "label": pa.array(judged.labels, pa.int32()),
            "answer": pa.array(predictions.answers, pa.int32()),
            "log_probabilities": pa.FixedSizeListArray.from_arrays(flat, classes),
            "teacher_answer": pa.array(zero_shot.answers, pa.int32()),
            "teacher_probability": pa.array(zero_shot.probabilities, pa.float16()),
            "drawn": pa.array(drawn, pa.int32()),
            "selected": pa.array(selected, pa.int32()),
        }
    )


def write(rows: pa.Table, path: Path) -> None:
    """As Parquet."""
    pq.write_table(rows, path, compression="zstd")


def require(path: Path) -> None:
    """Raises InputError where the file is missing, cut short, or another."""
    try:
        pq.read_metadata(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _not_these(path, error) from error


def read(path: Path) -> Answers:
    """What `write` wrote. Raises InputError where the file is missing, or another."""
    try:
        parts = [_answers(batch) for batch in pq.ParquetFile(path).iter_batches(BATCH, use_threads=False)]
        return Answers(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    except (pa.ArrowException, OSError, KeyError, ValueError, IndexError) as error:
        raise _not_these(path, error) from error


def named(path: Path) -> Named:
    """A small part of what `read` reads, without any probability. Raises InputError as it does."""
    try:
        table = pq.read_table(path, columns=["domain", "split", "label", "answer", "teacher_answer"])
        found = {name: table[name].to_numpy() for name in table.column_names}
        domain, inside = found.pop("domain").astype(str), found.pop("split") == "in"
        return Named(domain=domain, inside=inside, **found)
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise _not_these(path, error) from error


def log_probabilities(path: Path, domain: str) -> tuple[np.ndarray, np.ndarray]:
    """(n,) labels and (n, C) float32 logarithms of the probabilities of a domain's samples. Raises InputError as `read` does."""
    try:
        rows = pq.read_table(path, columns=["label", "log_probabilities"], filters=[("domain", "=", domain)])
        labels = rows["label"].to_numpy()
        logarithms = rows["log_probabilities"].combine_chunks().flatten().to_numpy().reshape(len(labels), -1)
        return labels, logarithms.astype(np.float32)
    except (pa.ArrowException, OSError, KeyError, ValueError, IndexError) as error:
        raise _not_these(path, error) from error


def learnt_from(path: Path, held_out: str) -> frozenset[str]:
    """The SHA-256 of each image that the trial learnt from: the in splits of its sources. Raises InputError as `read` does."""
    try:
        table = pq.read_table(path, columns=["id", "domain", "split"])
        inside, domain = (table["split"].to_numpy() == "in", table["domain"].to_numpy())
        taught = table["id"].to_numpy()[inside & (domain != held_out)]
        return frozenset(one.hex() for one in taught)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise _not_these(path, error) from error


def _not_these(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: not the predictions of a trial ({reason(error)}); run the trial again")


def _answers(batch: pa.RecordBatch) -> dict[str, np.ndarray]:
    """All of a batch but its probabilities, of which one a row is kept."""
    plain = {
        name: batch.column(name).to_numpy(zero_copy_only=False)
        for name in batch.schema.names
        if name != "log_probabilities"
    }
    logarithms = batch.column("log_probabilities").flatten().to_numpy(zero_copy_only=False).reshape(len(batch), -1)
    return {
        "domain": plain["domain"].astype(str),
        "inside": plain["split"] == "in",
        "label": plain["label"],
        "answer": plain["answer"],
        "confidence": np.exp(logarithms[np.arange(len(batch)), plain["answer"]].astype(np.float32)),
        "teacher_answer": plain["teacher_answer"],
        "teacher_confidence": plain["teacher_probability"].astype(np.float32),
        "drawn": plain["drawn"],
        "selected": plain["selected"],
    }
