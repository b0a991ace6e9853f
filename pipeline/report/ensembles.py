"""Ensembles of averages (EoA; Arpit et al., NeurIPS 2022): the trials of a cell answer together, by the sum of their logits.

What a trial leaves are logarithms of probabilities, which differ from the logits by a number a sample, which moves no answer. All
images of the held-out domain are judged, as every trial has its own split of them and none learnt from any.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.report.outcome import Group
from pipeline.report.table import markdown
from pipeline.trials import files, predictions


def accuracy(group: Group) -> float:
    """Of the trials of a group together, as a share. Raises InputError where a file is missing or damaged."""
    domain = group.held_out
    labels, total = predictions.log_probabilities(group.outcomes[0].folder / files.PREDICTIONS, domain)
    for one in group.outcomes[1:]:
        total = total + predictions.log_probabilities(one.folder / files.PREDICTIONS, domain)[1]
    return float(np.mean(total.argmax(1) == labels))


def section(groups: Sequence[Group]) -> str:
    """A Markdown table of those groups that have several trials; empty where none has."""
    several = [group for group in groups if len(group.outcomes) > 1]
    if not several:
        return ""
    methods = list(dict.fromkeys(group.method for group in several))
    of_cell = {(group.held_out, group.method): group for group in several}
    domains = dict.fromkeys(group.held_out for group in several)
    rows = {domain: [_cell(of_cell.get((domain, method))) for method in methods] for domain in domains}
    said = "Accuracy in % on all images of the held-out domain, of so many trials by the sum of their logits."
    return "\n".join(["## Ensembles of averages", "", *markdown(methods, rows), "", said, ""])


def _cell(group: Group | None) -> str | None:
    return f"{100 * accuracy(group):.1f} (of {len(group.outcomes)}){group.mark}" if group else None
