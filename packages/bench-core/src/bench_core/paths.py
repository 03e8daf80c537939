"""Where things lie: the project folder and the root of its datasets."""

import os
from pathlib import Path

from bench_core.settings import DATA_ROOT_VARIABLE

PROJECT_FILE = "bench.toml"


def find_project(start: str | os.PathLike[str] | None = None) -> Path | None:
    """The nearest folder at or above `start` that holds a `bench.toml`, or None.

    Args:
        start: Where to begin; the current folder unless given.
    """
    folder = Path(start or Path.cwd()).resolve()
    return next((f for f in (folder, *folder.parents) if (f / PROJECT_FILE).is_file()), None)


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder that holds chunked datasets.

    Args:
        root: Wins if given. Then `$BENCH_DATA_ROOT`, then `.bench/datasets` of the nearest project
            folder upwards, then `.bench/datasets` of the current folder.

    Returns:
        An absolute path; it need not exist.
    """
    if root is not None:
        return Path(root).absolute()
    if from_environment := os.environ.get(DATA_ROOT_VARIABLE):
        return Path(from_environment).absolute()
    return (find_project() or Path.cwd()) / ".bench" / "datasets"
