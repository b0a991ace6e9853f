"""An experiment: what its files say, where its own files lie, and what is checked before it runs."""

from pathlib import Path

# What a command means that is told nothing else.
DEFAULT, RESULTS = Path("configs/experiment.yaml"), Path("results")
