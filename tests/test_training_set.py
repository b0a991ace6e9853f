"""What a batch is made of: pictures of recorded views, and the teacher's answers to those very views."""

import pickle

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batches import normalised
from pipeline.samples.dataset import DatasetSettings
from pipeline.samples.loading import of_rows
from pipeline.samples.table import Sample
from pipeline.training_set import TrainingSet
from pipeline.views.pictures import DrawnPictures, StoredPictures

CPU = torch.device("cpu")
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
NEEDS = frozenset({"agreement", "teacher_logits", "teacher_features", "text", "domains"})


class Numbered:
    """Pictures whose every pixel is 10 · row + view."""

    size = 2

    @property
    def maker(self):
        return self

    def order(self, rows, views):
        return rows, views

    def take(self, rows, views):
        return np.broadcast_to((10 * rows + views)[:, None, None, None], (len(rows), 2, 2, 3)).astype(np.uint8)

    def __getitem__(self, order):
        return self.take(*order)


def made(per_domain=5, seed=7, mean=MEAN, std=STD, needs=NEEDS, **changes) -> TrainingSet:
    random = np.random.default_rng(0)
    answers = {
        "teacher_logits": random.standard_normal((6, 4, 3)).astype(np.float16),
        "teacher_features": random.standard_normal((6, 4, 8)).astype(np.float16),
    }
    values = {
        "pictures": Numbered(),
        "rows": np.array([3, 1, 4, 0, 2, 5]),  # sample → row: they need not agree
        "labels": np.array([0, 1, 2, 0, 1, 2]),
        "sources": (np.array([0, 2]), np.array([3, 4])),
        "views": 4,
        "answers": {name: column for name, column in answers.items() if name in needs},
        "of_samples": {"agreement": np.linspace(0, 1, 6, dtype=np.float32)} if "agreement" in needs else {},
        "shared": {"text": torch.from_numpy(random.standard_normal((3, 8)).astype(np.float32))}
        if "text" in needs
        else {},
    }
    return TrainingSet(**{**values, **changes}, needs=needs, per_domain=per_domain, seed=seed, mean=mean, std=std)


def test_each_picture_comes_with_the_answers_to_its_row_and_view():
    data = made(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    for batch in data.stream(0, 4, 0, CPU):
        marks = (batch.images[:, 0, 0, 0] * 255).round().long()
        rows, views = marks // 10, marks % 10
        for name, column in data.answers.items():
            assert torch.equal(getattr(batch, name), torch.from_numpy(column[rows, views].astype(np.float32)))
        sample = [int(np.flatnonzero(data.rows == row)[0]) for row in rows]
        assert batch.rows.tolist() == sample
        assert batch.labels.tolist() == data.labels[sample].tolist()
        assert batch.agreement.tolist() == data.of_samples["agreement"][sample].tolist()
        assert batch.domains.tolist() == [0] * 5 + [1] * 5
        assert set(sample[:5]) <= {0, 2}
        assert set(sample[5:]) <= {3, 4}
        assert views.min() >= 1


def test_a_batch_carries_what_is_needed_and_nothing_else():
    (batch,) = made(needs=frozenset()).stream(0, 1, 0, CPU)
    assert set(vars(batch)) == {"images", "labels", "rows"}
    (batch,) = made(needs=frozenset({"teacher_logits"})).stream(0, 1, 0, CPU)
    assert set(vars(batch)) == {"images", "labels", "teacher_logits", "rows"}


@given(st.integers(0, 2**31), st.integers(0, 10**6), st.integers(2, 20))
def test_every_source_gives_its_share_and_no_batch_leaves_its_sources(seed, step, views):
    sources = (np.array([4, 9]), np.array([7]), np.arange(20, 30))
    samples, drawn = made(6, seed, sources=sources, views=views).drawn(step)
    assert all(set(samples[6 * k : 6 * k + 6]) <= set(source.tolist()) for k, source in enumerate(sources))
    assert drawn.min() >= 1
    assert drawn.max() < views


def test_a_step_is_the_same_whatever_came_before_and_whoever_made_it():
    data = made()
    alone = list(data.stream(2, 6, 0, CPU))
    helped = list(data.stream(2, 6, 2, CPU))
    later = list(data.stream(4, 6, 0, CPU))
    for one, others in zip(alone, [(h,) for h in helped[:2]] + list(zip(helped[2:], later, strict=True)), strict=True):
        for other in others:
            assert vars(one).keys() == vars(other).keys()
            assert all(torch.equal(a, b) for a, b in zip(vars(one).values(), vars(other).values(), strict=True))


def test_what_a_worker_gets_of_a_store_is_a_path_however_large_the_store_is(tmp_path):
    np.save(tmp_path / "pixels.npy", np.zeros((200, 4, 16, 16, 3), np.uint8))
    pictures = StoredPictures(tmp_path / "pixels.npy", np.arange(200))
    pictures.take(np.array([3]), np.array([1]))  # mapped here already
    assert len(pickle.dumps(pictures.maker)) < 1000


def test_what_a_worker_gets_of_images_is_at_most_200_bytes_each(tmp_path):
    """Neither columns of the cache nor the numbers of the views: whatever V and C."""
    count = 100_000
    samples = [
        Sample(
            f"{at:064x}",
            f"photograph/grand piano/image_{at:07}.jpg",
            "photograph",
            "grand piano",
            at % 345,
            at,
            500,
            375,
        )
        for at in range(count)
    ]
    (tmp_path / "images").mkdir()
    settings = DatasetSettings(root=tmp_path / "images", domains=("photograph",))
    numbers = np.zeros((count, 9, 11), np.float32)
    pictures = DrawnPictures(of_rows(settings, samples, exif=True), numbers, 224)
    assert len(pickle.dumps(pictures.maker)) < 2_000_000 + 200 * count


def test_normalisation_is_by_channel():
    pixels = np.full((1, 1, 1, 3), 255, np.uint8)
    assert torch.allclose(normalised(pixels, MEAN, STD, CPU)[0, :, 0, 0], torch.tensor([2.5, 2.4, 7 / 3]))
