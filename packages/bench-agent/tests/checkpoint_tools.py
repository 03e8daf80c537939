"""Checkpoints as trainings write them, by bench_track itself, and what trainings say of them."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench_track.checkpoint_folder import Checkpoint
from bench_track.checkpoints import Checkpoints
from bench_track.keeping import Keeping


def write_checkpoint(
    root: Path, step: int, files: Mapping[str, bytes], metric: float | None = None
) -> Checkpoint:
    """A checkpoint below a folder, of a folder with these files."""
    with TemporaryDirectory() as folder:
        for path, content in files.items():
            file = Path(folder) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        made: list[Checkpoint] = []
        checkpoints = Checkpoints(root, keeping=Keeping(last=1000), on_saved=lambda one, _: made.append(one))
        checkpoints.save(folder, step=step, metric=metric)
        checkpoints.wait()
    return made[0]


def note_of(checkpoint: Checkpoint, *, best: bool = False) -> dict[str, Any]:
    """What the training says of it."""
    return {
        "type": "checkpoint",
        "time": checkpoint.time,
        "name": checkpoint.name,
        "path": str(checkpoint.folder),
        "step": checkpoint.step,
        "metric": checkpoint.metric,
        "best": best,
        "bytes": checkpoint.size_bytes,
        "files": len(checkpoint.files),
    }


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder, by their paths."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
