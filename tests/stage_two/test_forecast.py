"""What a trial is told to cost."""

from pipeline.stage_two.forecast import _pictures_judged
from tests.small_trials import judged, started


def test_every_evaluation_measures_batch_norms_anew_and_the_last_looks_at_all():
    """Of 5 steps with an evaluation at every second: at 0, 2, 4; 24 pictures, 6 of them out, 4 of those of sources; 20 batches
    of 8."""
    assert _pictures_judged(started("erm"), judged(), 8) == 3 * (24 + 160) + 24
    assert _pictures_judged(started("erm", evaluate="deciding"), judged(), 8) == 3 * (4 + 160) + 24
    assert _pictures_judged(started("erm", batch_norm="frozen"), judged(), 8) == 3 * 24 + 24
    assert _pictures_judged(started("erm", steps=4, batch_norm="frozen"), judged(), 8) == 3 * 24 + 24  # 0, 2, 3
