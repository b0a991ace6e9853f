"""An experiment: what its files say, where its own files lie, and what is checked before it runs."""

from pathlib import Path

DEFAULT = Path("configs/experiment.yaml")
