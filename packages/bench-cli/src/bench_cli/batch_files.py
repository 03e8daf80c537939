"""A batch as files of a folder: what its samples have, and their labels as JSON."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bench_agent.some_samples import Sample

LABELS = "labels.json"

MAX_VALUES = 1000
"""Of an array that is written among the labels; a larger one gets a file of its own."""


def write_batch(folder: Path, samples: Iterable["Sample"], about: dict[str, Any]) -> dict[str, Any]:
    """Write samples to an empty folder; `labels.json` comes last, and is what is returned.

    Args:
        folder: Made if absent.
        samples: In the batch's order.
        about: What `labels.json` says besides.

    Raises:
        OSError: They cannot be written.
        DataError: They cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = [_write_sample(folder, place, sample) for place, sample in enumerate(samples)]
    document = {**about, "samples": found}
    (folder / LABELS).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return document


def _write_sample(folder: Path, place: int, sample: "Sample") -> dict[str, Any]:
    start = f"{place:03}-{sample.number}"
    names = []
    for number, file in enumerate(sample.files):
        name = (
            f"{start}-{number}-{_plain(file.name)}"
            if len(sample.files) > 1
            else f"{start}-{_plain(file.name)}"
        )
        (folder / name).write_bytes(file.read_bytes())
        names.append(name)
    label = _Label(folder, start).document(sample.label, "label")
    return {"sample_number": sample.number, "label": label, "files": names}


def _plain(name: str) -> str:
    """A name from a dataset, as the end of one in the folder."""
    plain = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in name)
    return plain.encode()[-150:].decode(errors="ignore")


class _Label:
    """A label as JSON; its large arrays become files that begin alike."""

    def __init__(self, folder: Path, start: str) -> None:
        self._folder, self._start = folder, start

    def document(self, value: Any, name: str) -> Any:
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, bytes):
            return self._file(f"{name}.bin", value)
        if isinstance(value, dict):
            return {str(key): self.document(part, f"{name}.{key}") for key, part in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.document(part, f"{name}.{at}") for at, part in enumerate(value)]
        if hasattr(value, "detach"):  # a tensor; numpy knows fewer types
            value = value.float().numpy() if "float" in str(value.dtype) else value.numpy()
        if isinstance(value, (np.ndarray, np.generic)):
            return self._array(np.asarray(value), name)
        return str(value)

    def _array(self, array: "np.ndarray[Any, Any]", name: str) -> Any:
        if array.size <= MAX_VALUES and array.dtype.kind in "biuf":
            return array.tolist()
        path = self._folder / f"{self._start}-{_plain(name)}.npy"
        np.save(path, array, allow_pickle=False)
        return {"file": path.name}

    def _file(self, name: str, content: bytes) -> dict[str, str]:
        path = self._folder / f"{self._start}-{_plain(name)}"
        path.write_bytes(content)
        return {"file": path.name}
