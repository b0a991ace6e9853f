"""Every backbone that timm lists, of up to 50 million parameters: it trains a step, or is refused in one sentence.

`python -m tests.backbones [PART/PARTS]` goes through all and says how each ended; `make faults` runs it. Of each family (a module
of timm) the tests take the smallest.
"""

import sys
from collections import Counter
from collections.abc import Iterator

import timm
import torch

from pipeline.averaging.running_mean import RunningMean
from pipeline.errors import InputError
from pipeline.student.building import build
from pipeline.student.settings import ModelSettings

MOST = 50_000_000
# The smallest that one would train with, and what larger grids and windows need.
SIZES = (32, 64, 96, 128, 224, 240, 256, 384, 408)


def parameters(name: str) -> int:
    """Counted without memory for them."""
    with torch.device("meta"):
        return sum(one.numel() for one in timm.create_model(name, num_classes=0).parameters())


def small(names: list[str]) -> Iterator[str]:
    """Those that are not too large; one that cannot even be counted is for the student to refuse."""
    for name in names:
        try:
            count = parameters(name)
        except Exception:
            count = 0
        if count <= MOST:
            yield name


def families() -> dict[str, list[str]]:
    """Module of timm → its models."""
    found = {module: timm.list_models(module=module) for module in timm.list_modules()}
    return {module: names for module, names in found.items() if names}


def outcome(name: str) -> str:
    """`trains at N`, or the sentence of the last refusal; any other error goes through."""
    told = ""
    for size in SIZES:
        try:
            a_step(name, size)
            return f"trains at {size}"
        except InputError as error:
            told = str(error)
    assert "\n" not in told
    return f"refused: {told}"


def a_step(name: str, size: int) -> None:
    """Everything of a step that depends on the network."""
    settings = ModelSettings(backbone=name, pretrained=False, batch_norm="trained")
    student = build(settings, classes=3, embedding=4, size=size, seed=0).train()
    mean = RunningMean(student.predictor, 1)
    optimizer = torch.optim.SGD(student.parameters(), lr=1e-6)
    images = torch.rand(4, 3, size, size)
    outputs = student(images)
    (outputs.logits.sum() + outputs.embeddings.sum()).backward()
    optimizer.step()
    mean.update()
    assert mean.model.eval()(images).shape == (4, 3)


def main() -> None:
    part, parts = (int(one) for one in (sys.argv[1] if len(sys.argv) > 1 else "1/1").split("/"))
    torch.use_deterministic_algorithms(True)
    counts: Counter[str] = Counter()
    for name in list(small(timm.list_models()))[part - 1 :: parts]:
        try:
            told = outcome(name)
        except Exception as error:
            told = f"FAULT: {type(error).__name__}: {error}"
        counts[told.split(":")[0].split(" at")[0]] += 1
        print(f"{name}: {told}", flush=True)
    print(dict(counts))
    sys.exit(counts["FAULT"] > 0)


if __name__ == "__main__":
    main()
