"""What a power loss may leave: synced bytes and names stand, any of the others may be lost or torn.

The model: a file's bytes last once the file is synced; a name (made, moved or removed) lasts once its folder is synced.
"""

import os
from pathlib import Path

import numpy as np

Tree = dict[str, bytes | None]


def state(start: Tree, calls: list[tuple], upto: int, random: np.random.Generator, loss: float) -> Tree:
    """Path → bytes (None: a folder) after a crash behind `upto` calls; each unsynced call is lost with chance `loss`."""
    lasting = _lasting(calls[:upto])
    tree = dict(start)
    for at, (name, path, more) in enumerate(calls[:upto]):
        lost = at not in lasting and random.random() < loss
        if name == "write" and path in tree:
            kept = more[: int(random.integers(0, len(more)))] if lost and more else more
            tree[path] = (tree[path] or b"") + kept
        elif lost or name == "sync":
            continue
        elif name == "create" and _stands(tree, path):
            tree[path] = b""
        elif name == "mkdir" and _stands(tree, path):
            tree[path] = None
        elif name in ("unlink", "rmdir"):
            tree.pop(path, None)
        elif name == "move" and path in tree:
            inside = [p for p in tree if p == path or p.startswith(f"{path}/")]
            for one in inside:
                tree[more + one[len(path) :]] = tree.pop(one)
    return tree


def _stands(tree: Tree, path: str) -> bool:
    parent = os.path.dirname(path)
    return parent in ("", ".") or parent in tree


def _lasting(calls: list[tuple]) -> set[int]:
    """The calls that a later sync made last. A file is followed through its moves."""
    lasting = set()
    for at, (name, path, more) in enumerate(calls):
        if name == "sync":
            continue
        now = path
        folder = os.path.dirname(more if name == "move" else path) or "."
        for later, target, moved in calls[at + 1 :]:
            if later == "move" and target == now:
                now = moved
            synced = now if name == "write" else folder
            if later == "sync" and target == synced:
                lasting.add(at)
                break
    return lasting


def lay_out(tree: Tree, root: Path) -> None:
    """Writes a crash state to a real folder."""
    root.mkdir(parents=True, exist_ok=True)
    for path in sorted(tree):
        data = tree[path]
        if data is None:
            (root / path).mkdir(parents=True, exist_ok=True)
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
