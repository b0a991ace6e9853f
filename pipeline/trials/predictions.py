"""`predictions.parquet`: what a trial's chosen checkpoint answers to every sample, and how often it learnt from it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.evaluation import EvaluationSet, Predictions, ZeroShot


def table(
    judged: EvaluationSet, predictions: Predictions, zero_shot: ZeroShot, drawn: np.ndarray, selected: np.ndarray
) -> pa.Table:
    """A row a sample of `samples.parquet`, in its order: `row`, `domain`, `split` (in or out), `label`, `answer`, `probabilities`
    (C half-precision numbers), the teacher's `teacher_answer` and `teacher_probability`, and over the whole trial how often it
    was `drawn` and `selected`, as not all that is drawn is learnt from."""
    count, classes = predictions.probabilities.shape
    flat = pa.array(predictions.probabilities.reshape(-1), pa.float16())
    return pa.table(
        {
            "row": pa.array(np.arange(count), pa.int64()),
            "domain": pa.array([judged.names[at] for at in judged.domains], pa.string()),
            "split": pa.array(["out" if out else "in" for out in judged.out], pa.string()),
            "label": pa.array(judged.labels, pa.int32()),
            "answer": pa.array(predictions.answers, pa.int32()),
            "probabilities": pa.FixedSizeListArray.from_arrays(flat, classes),
            "teacher_answer": pa.array(zero_shot.answers, pa.int32()),
            "teacher_probability": pa.array(zero_shot.probabilities, pa.float16()),
            "drawn": pa.array(drawn, pa.int32()),
            "selected": pa.array(selected, pa.int32()),
        }
    )


def write(rows: pa.Table, path: Path) -> None:
    """As Parquet."""
    pq.write_table(rows, path, compression="zstd")
