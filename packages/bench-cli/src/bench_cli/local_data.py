"""The datasets on this machine, as documents."""

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
    """A dataset of this machine for --json; what a version on the server has too has the same name."""
    return {
        "name": info.path.name,
        "path": str(info.path),
        "sample_count": info.samples,
        "chunk_count": info.chunks,
        "stored_bytes": info.bytes,
        "with_files": info.with_files,
        "schema": info.schema,
        "schema_text": info.schema_text,
        "fingerprint": info.fingerprint,
        "source_digest": info.source_digest,
        "streamed": info.streamed,
    }


def _described(folder: Path) -> dict[str, Any]:
    try:
        return info_document(dataset_info(folder))
    except DataError as error:
        return {"name": folder.name, "path": str(folder), "problem": error.message}
