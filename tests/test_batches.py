"""What a batch holds: pictures of recorded views, and the teacher's answers to those very views."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batches import Lessons, Steps, draw, normalise, stream

CPU = torch.device("cpu")
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


class Numbered:
    """Pictures whose every pixel is 10 · row + view."""

    size = 2

    def take(self, rows, views):
        return np.broadcast_to((10 * rows + views)[:, None, None, None], (len(rows), 2, 2, 3)).astype(np.uint8)


def lessons() -> Lessons:
    random = np.random.default_rng(0)
    rows = np.array([3, 1, 4, 0, 2, 5])  # sample → row: they need not agree
    return Lessons(
        pictures=Numbered(),
        logits=random.standard_normal((6, 4, 3)).astype(np.float16),
        text=random.standard_normal((3, 8)).astype(np.float32),
        rows=rows,
        labels=np.array([0, 1, 2, 0, 1, 2]),
        sources=(np.array([0, 2]), np.array([3, 4])),
    )


def test_each_picture_comes_with_the_logits_of_its_row_and_view():
    steps = Steps(lessons(), 5, 7, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    for number in range(4):
        batch = steps[number]
        marks = (batch.images[:, 0, 0, 0] * 255).round().long()
        rows, views = marks // 10, marks % 10
        expected = torch.from_numpy(lessons().logits[rows, views].astype(np.float32))
        assert torch.equal(batch.teacher_logits, expected)
        sample = [int(np.flatnonzero(lessons().rows == row)[0]) for row in rows]
        assert batch.labels.tolist() == lessons().labels[sample].tolist()
        assert set(sample[:5]) <= {0, 2}
        assert set(sample[5:]) <= {3, 4}
        assert views.min() >= 1


@given(st.integers(0, 2**31), st.integers(0, 10**6), st.integers(2, 20))
def test_every_source_gives_its_share_and_no_batch_leaves_its_sources(seed, step, views):
    sources = (np.array([4, 9]), np.array([7]), np.arange(20, 30))
    samples, drawn = draw(sources, views, 6, seed, step)
    assert all(set(samples[6 * k : 6 * k + 6]) <= set(source.tolist()) for k, source in enumerate(sources))
    assert drawn.min() >= 1
    assert drawn.max() < views


def test_a_step_is_the_same_whatever_came_before_and_whoever_made_it():
    steps = Steps(lessons(), 4, 3, MEAN, STD)
    alone = list(stream(steps, 2, 6, 0, CPU))
    helped = list(stream(steps, 2, 6, 2, CPU))
    for number, (one, other) in enumerate(zip(alone, helped, strict=True), 2):
        for batch in (other, steps[number]):
            assert all(torch.equal(a, b) for a, b in zip(vars(one).values(), vars(batch).values(), strict=True))


def test_a_part_of_a_batch_keeps_its_rows_together():
    batch = Steps(lessons(), 4, 3, MEAN, STD)[0]
    part = batch.part(torch.tensor([5, 0]))
    assert torch.equal(part.images, batch.images[[5, 0]])
    assert torch.equal(part.teacher_logits, batch.teacher_logits[[5, 0]])
    assert part.labels.tolist() == [batch.labels[5].item(), batch.labels[0].item()]
    assert part.text is batch.text


def test_normalisation_is_by_channel():
    pixels = np.full((1, 1, 1, 3), 255, np.uint8)
    assert torch.allclose(normalise(pixels, MEAN, STD)[0, :, 0, 0], torch.tensor([2.5, 2.4, 7 / 3]))
