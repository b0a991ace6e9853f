"""`scmd cache doubtful`: labels that a sample's neighbours do not bear out."""

from pathlib import Path

import numpy as np

from pipeline.adapters.agreement import agreement, tally
from pipeline.adapters.labelled import Labelled
from pipeline.errors import InputError
from pipeline.experiment.places import Plan
from pipeline.progress import say, show
from pipeline.queries.features import Features
from pipeline.samples import building
from pipeline.stages import queries
from pipeline.writing import replace_text


def listed(plan: Plan, held_out: str | None, k: int, below: float, exclude: Path | None) -> None:
    """Lists samples whose label has less than a share `below` among their k nearest, worst first, and writes their keys.

    Raises InputError for a domain that is not there, and for one that is all there is.
    """
    asked = queries.opened(plan)
    if held_out is not None:
        asked.samples.require_domain(held_out)
    known = asked.features.part(asked.features.values("domain") != held_out)
    if len(known.samples) < 2:
        raise InputError("a label is borne out by other samples, and here are none; leave out no domain, or another")
    labelled = _labelled(known)
    shares, named = agreement(labelled, k), tally(labelled, k).argmax(1)
    doubtful = [at for at in np.argsort(shares, kind="stable").tolist() if shares[at] < below]
    for at in doubtful:
        sample, other = known.samples[at], asked.samples.classes[named[at]]
        show(f"{shares[at]:.2f}  {queries.told(sample)}; its neighbours: {other}")
    say(f"{len(doubtful)} of {len(shares)} labels are those of less than {below:g} of their {k} nearest")
    if exclude:
        keys = {
            *building.excluded_keys(exclude if exclude.exists() else None),
            *(known.samples[at].key for at in doubtful),
        }
        replace_text(exclude, "".join(f"{key}\n" for key in sorted(keys)))
        say(
            f"{len(keys)} keys to leave out in {exclude}: look at them, and name it as `exclude` in the data set's configuration"
        )


def _labelled(known: Features) -> Labelled:
    _, pictures = np.unique(known.values("id"), return_inverse=True)
    return Labelled(known.rows.astype(np.float64), pictures, known.values("label"), known.values("domain"))
