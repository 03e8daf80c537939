"""The datasets on this machine, as documents."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench_core import data_root
from bench_data import DataError, DatasetInfo, dataset_info
from bench_data.folders import dataset_folder
from bench_data.manifest import MANIFEST


def find_dataset(name: str) -> Path:
    """The folder of a dataset, given by its name or as a path."""
    path = Path(name)
    return path if path.name != name or (path / MANIFEST).is_file() else dataset_folder(name)


def list_local() -> dict[str, dict[str, Any]]:
    """The datasets of this machine by name; a damaged one says so."""
    root = data_root()
    names = sorted(path.parent.name for path in root.glob(f"*/{MANIFEST}"))
    return {name: _described(root / name) for name in names}


def info_document(info: DatasetInfo) -> dict[str, Any]:
    """A dataset for --json."""
    return {**asdict(info), "path": str(info.path), "name": info.path.name}


def _described(folder: Path) -> dict[str, Any]:
    try:
        info = dataset_info(folder)
    except DataError as error:
        return {"path": str(folder), "problem": error.message}
    return {
        "path": str(folder),
        "sample_count": info.samples,
        "chunk_count": info.chunks,
        "stored_bytes": info.bytes,
        "fingerprint": info.fingerprint,
    }
