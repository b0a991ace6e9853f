"""`scmd cache doubtful`: labels that a sample's neighbours do not bear out."""

from pathlib import Path

import numpy as np

from pipeline.adapters.agreement import borne_out, tally
from pipeline.adapters.labelled import Labelled
from pipeline.errors import InputError
from pipeline.experiment.places import Plan
from pipeline.progress import say, show
from pipeline.queries.features import Features
from pipeline.samples import building
from pipeline.samples.table import Sample, Samples
from pipeline.stages import queries
from pipeline.writing import replace_text


def listed(plan: Plan, held_out: str | None, k: int, below: float, exclude: Path | None) -> None:
    """Lists samples whose label has less than a share `below` among their k nearest, worst first, and writes their keys.

    Domains that the experiment holds out are left out, unless those are all; `held_out` names another one in their place.
    Raises InputError for a domain that is not there, where nothing is left, and where `exclude` would choose what judges.
    """
    asked = queries.opened(plan)
    known = asked.features.part(~np.isin(asked.features.values("domain"), _left_out(plan, asked.samples, held_out)))
    if len(known.samples) < 2:
        raise InputError("a label is borne out by other samples, and here are none; leave out no domain, or another")
    labelled = labelled_of(known)
    said = tally(labelled, k)
    shares = borne_out(labelled, said, k)
    doubtful = [at for at in np.argsort(shares, kind="stable").tolist() if shares[at] < below]
    for at in doubtful:
        other = asked.samples.classes[said[at].argmax()]
        show(f"{shares[at]:.2f}  {queries.told(known.samples[at])}; its neighbours: {other}")
    say(f"{len(doubtful)} of {len(shares)} labels are those of less than {below:g} of their nearest (up to {k})")
    if exclude:
        _write(plan, [known.samples[at] for at in doubtful], exclude)


def _left_out(plan: Plan, samples: Samples, held_out: str | None) -> list[str]:
    if held_out is not None:
        samples.require_domain(held_out)
        return [held_out]
    return [] if set(samples.domains) <= set(plan.experiment.matrix.held_out) else list(plan.experiment.matrix.held_out)


def _write(plan: Plan, found: list[Sample], exclude: Path) -> None:
    if judged := [one for one in found if one.domain in plan.experiment.matrix.held_out]:
        raise InputError(
            f"{len(judged)} of these samples are of domains that the experiment holds out, first {queries.told(judged[0])}: to "
            "leave them out by what the teacher thinks of them would flatter every student; nothing is written"
        )
    keys = {*building.excluded_keys(exclude if exclude.exists() else None), *(one.key for one in found)}
    replace_text(exclude, "".join(f"{key}\n" for key in sorted(keys)))
    say(f"{len(keys)} keys in {exclude}: look at them, and name it as `exclude` in the data set's configuration")


def labelled_of(known: Features) -> Labelled:
    """Samples with their labels, whose `rows` number the pictures."""
    _, pictures = np.unique(known.values("id"), return_inverse=True)
    return Labelled(known.rows.astype(np.float64), pictures, known.values("label"), known.values("domain"))
