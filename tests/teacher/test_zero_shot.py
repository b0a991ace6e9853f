import numpy as np

from pipeline.teacher import zero_shot


def test_logits_by_hand():
    features = np.array([[3, 4], [0, 2]], np.float16)
    # Two templates whose unit rows average to (1, 0) and (0, 1) directions.
    text = np.array([[[2, 0], [0, 5]], [[4, 0], [0, 1]]], np.float32)
    assert zero_shot.logits(features, text, 10.0).tolist() == [[6, 8], [0, 10]]


def test_class_embeddings_average_unit_rows_not_raw_ones():
    text = np.array([[[100, 0]], [[0, 1]]], np.float32)
    assert np.allclose(zero_shot.class_embeddings(text), [[0.5**0.5, 0.5**0.5]])


def test_logits_do_not_depend_on_how_rows_are_grouped():
    random = np.random.default_rng(0)
    features = random.standard_normal((500, 64)).astype(np.float16)
    text = random.standard_normal((2, 20, 64)).astype(np.float32)
    whole = zero_shot.logits(features, text, 100.0)
    parts = np.concatenate([zero_shot.logits(features[start : start + 37], text, 100.0) for start in range(0, 500, 37)])
    assert whole.tobytes() == parts.tobytes()
