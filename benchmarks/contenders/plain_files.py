"""The plain files: read only."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset

from benchmarks.contenders import BATCH, WORKERS
from benchmarks.contenders.touch import touch_path
from benchmarks.data import samples


class _Files(Dataset[tuple[int, int]]):
    def __init__(self, source: Path) -> None:
        self._samples = samples(source)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[int, int]:
        path, label = self._samples[index]
        return label, touch_path(path)


def epoch(source: Path, out: Path, through_path: bool) -> Iterable[tuple[Any, Any]]:
    """A path is all that there is, so `through_path` makes no difference."""
    return DataLoader(_Files(source), BATCH, shuffle=True, num_workers=WORKERS)
