"""A batch carries what is needed, keeps its rows together, and says what it lacks."""

import pytest
import torch

from pipeline.batches import Batch


def batch() -> Batch:
    random = torch.Generator().manual_seed(0)
    return Batch(
        images=torch.randn(4, 3, 2, 2, generator=random),
        labels=torch.tensor([3, 1, 2, 0]),
        domains=torch.tensor([0, 0, 1, 1]),
        rows=torch.tensor([7, 5, 9, 9]),
        text=torch.randn(4, 6, generator=random),
    )


def test_a_part_of_a_batch_keeps_its_rows_together_and_what_is_shared_whole():
    whole, part = batch(), batch().part(torch.tensor([3, 0]))
    assert torch.equal(part.images, whole.images[[3, 0]])
    assert (part.labels.tolist(), part.domains.tolist(), part.rows.tolist()) == ([0, 3], [1, 0], [9, 7])
    assert torch.equal(part.text, whole.text)
    assert (len(whole), len(part)) == (4, 2)


def test_what_no_need_named_is_told_by_name():
    with pytest.raises(AttributeError, match="carries no `teacher_features`: the method's `needs` does not name it"):
        _ = batch().teacher_features


def test_a_misspelt_field_fails_at_once():
    with pytest.raises(TypeError, match="a batch has no `teacher_logit`"):
        Batch(teacher_logit=torch.zeros(1))
