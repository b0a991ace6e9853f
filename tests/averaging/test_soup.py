"""Soups: which runs are in them, and that what is written is their mean."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from pipeline.averaging import soup
from tests.conftest import change, ok, refused, run_scmd

RUNS = [{"w": torch.tensor([float(value)]), "seen": torch.tensor(value)} for value in (1, 5, 3)]


def test_the_mean_is_of_numbers_and_counters_are_the_firsts():
    mixed = soup.mean(RUNS)
    assert mixed["w"].tolist() == [3.0]
    assert mixed["w"].dtype == torch.float32
    assert mixed["seen"].item() == 1


@pytest.mark.parametrize(
    ("validated", "kept"),
    [
        ({1.0: 0.5, 3.0: 0.4, 2.0: 0.6}, [0, 2]),  # 1 and 5 are worse together, 1 and 3 better
        ({1.0: 0.5, 3.0: 0.5}, [0, 1, 2]),  # no worse is enough
        ({1.0: 0.5, 3.0: 0.4, 2.0: 0.4}, [0]),
    ],
)
def test_a_greedy_soup_keeps_what_makes_it_no_worse(validated, kept):
    assert soup.chosen(RUNS, "greedy", lambda weights: validated[weights["w"].item()]) == kept
    assert soup.chosen(RUNS, "uniform", lambda _: 0.0) == [0, 1, 2]


def test_soups_of_hyperparameter_seeds_are_written_and_reported(ready):
    matrix = {"held_out": ["ink"], "method": ["scmd"], "trial": [0], "hparams": [0, 1, 2]}
    change(ready, "experiment.yaml", matrix={**matrix, "hparams": [0]}, methods={"scmd": {"hard_fraction": 0.5}})
    ok("students", cwd=ready)
    assert "several finished hyperparameter seeds; name them as `matrix.hparams`" in refused("soups", cwd=ready)
    change(ready, "experiment.yaml", matrix=matrix)
    ok("students", cwd=ready)
    told = ok("soups", cwd=ready)
    assert "scmd, ink held out, trial 0: uniform soup of seeds " in told
    trials = [ready / f"results/trials/small/ink/scmd/hparams-{seed}/trial-0" for seed in matrix["hparams"]]
    cards = [json.loads((folder / "card.json").read_text()) for folder in trials]
    order = sorted(range(3), key=lambda at: -cards[at]["metrics"]["validation"])
    for rule in ("uniform", "greedy"):
        folder = ready / f"results/soups/small/ink/scmd/{rule}/trial-0"
        card = json.loads((folder / "card.json").read_text())
        assert card["soup"]["rule"] == rule
        kept = card["soup"]["hparams_seeds"]
        assert kept[0] == order[0]
        assert rule == "greedy" or sorted(kept) == [0, 1, 2]
        # Weights are the mean; the statistics of batch norms are the soup's own.
        for name in ("student.safetensors", "projection.safetensors"):
            mixed, runs = load_file(folder / name), [load_file(trials[at] / name) for at in kept]
            for tensor in (one for one in mixed if "running" not in one and "tracked" not in one):
                expected = torch.stack([run[tensor].double() for run in runs]).mean(0)
                assert torch.allclose(mixed[tensor].double(), expected, atol=1e-6), tensor
        assert "disc" in ok("predict", "--student", str(folder), "images/neon/disc/0.png", cwd=ready)
    page = ok("report", cwd=ready)
    assert "## Soups" in page
    assert "| ink, scmd | " in page
    # A soup that is not whole says nothing, and no trial that is not what its card says goes into one.
    (ready / "results/soups/small/ink/scmd/greedy/trial-0/card.json").write_text("{")
    done = run_scmd("report", cwd=ready)
    assert "greedy/trial-0: not a whole soup, and left out; `scmd soups` makes it anew" in done.stderr
    assert "## Soups" in done.stdout
    damaged = trials[1] / "student.safetensors"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert f"{damaged.relative_to(ready)}: not the file that the card beside it is of" in refused("soups", cwd=ready)
    damaged.write_bytes(whole)
    # Of other trials than those that stand, a soup says nothing.
    shutil.rmtree(trials[2])
    assert "## Soups" not in ok("report", cwd=ready)
