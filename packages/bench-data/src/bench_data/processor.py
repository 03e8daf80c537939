"""What the user writes: where the files and labels of each sample come from."""

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from bench_data.errors import OptionsError, SourceError
from bench_data.options import WriteOptions

NAME_BYTES = 255
"""The longest name that a file can have on the usual file systems."""


@dataclass(frozen=True)
class FileContent:
    """A file of a sample that is not on a disk.

    Args:
        name: Its base name.
        data: Its bytes.

    Raises:
        OptionsError: The name is not a base name.
    """

    name: str
    data: bytes

    def __post_init__(self) -> None:
        forbidden = self.name in ("", ".", "..") or any(c in self.name for c in "/\\\0")
        if forbidden or len(self.name.encode(errors="replace")) > NAME_BYTES:
            raise OptionsError(f"{self.name!r} is not a file's base name")


SourceFile: TypeAlias = "str | os.PathLike[str] | FileContent"


class ProcessorDataset(ABC):
    """Tells where the files and labels of each sample are.

    Subclass it and define `__len__`, and `get_file` or `get_label_and_numeric_data` or both. There is no need
    to call `super().__init__()`. It is sent to the worker processes once, so it must be picklable (classes of
    a script or a notebook are).

    Example:
        class CatDog(ProcessorDataset):
            def __init__(self):
                self._paths = sorted(Path("pets").glob("*.jpg"))

            def __len__(self):
                return len(self._paths)

            def get_file(self, item):
                return [str(self._paths[item])]

            def get_label_and_numeric_data(self, item):
                return 0 if self._paths[item].name.startswith("cat") else 1
    """

    write_options: WriteOptions = WriteOptions()
    """What `process_datasets` writes with."""

    @abstractmethod
    def __len__(self) -> int:
        """How many samples there are."""

    def get_file(self, item: int) -> "Sequence[SourceFile] | SourceFile":
        """The paths of the sample's files, in the order in which they are to come back."""
        return []

    def get_label_and_numeric_data(self, item: int) -> Any:
        """The sample's label.

        Numbers, bools, strings, bytes, None, numpy arrays and tensors, in any tree of tuples, lists, dicts
        and named tuples; of one structure for all samples.
        """
        return None

    @staticmethod
    def from_torch(dataset: Any) -> "ProcessorDataset":
        """Wrap a map-style torch dataset.

        The PIL images of a sample become PNG files, in order; what else it holds is the label. Of a pair
        (image, target) the label is the target.

        Args:
            dataset: Has `__len__` and `__getitem__`.
        """
        return _TorchProcessor(dataset)

    @staticmethod
    def from_folder(path: str | os.PathLike[str]) -> "FolderProcessor":
        """Take a tree of one folder per class; the label is the class's number in sorted order.

        Args:
            path: The folder that holds the class folders. Hidden files and folders are left out.

        Raises:
            SourceError: It holds no class folder with a file.
        """
        return FolderProcessor(Path(path))


class FolderProcessor(ProcessorDataset):
    """A tree of one folder per class; `classes` are their names, a label is an index into it."""

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise SourceError(f"{path} is not a folder")
        folders = sorted(
            entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")
        )
        self.classes: list[str] = [folder.name for folder in folders]
        self._samples = [
            (file, label) for label, folder in enumerate(folders) for file in _files_below(folder)
        ]
        if not self._samples:
            raise SourceError(f"{path} holds no class folder with a file in it")

    def __len__(self) -> int:
        return len(self._samples)

    def get_file(self, item: int) -> list[SourceFile]:
        """The sample's file."""
        return [self._samples[item][0]]

    def get_label_and_numeric_data(self, item: int) -> int:
        """The number of the sample's class."""
        return self._samples[item][1]


class _TorchProcessor(ProcessorDataset):
    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._last: tuple[int, Any] = (-1, None)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": (-1, None)}

    def get_file(self, item: int) -> list[SourceFile]:
        self._last = (item, self._dataset[item])
        images = [part for part in _parts(self._last[1]) if _is_image(part)]
        return [FileContent("image.png", _png(image)) for image in images]

    def get_label_and_numeric_data(self, item: int) -> Any:
        sample = self._last[1] if self._last[0] == item else self._dataset[item]
        if _is_image(sample):
            return None
        if isinstance(sample, dict):
            return {key: value for key, value in sample.items() if not _is_image(value)}
        if not isinstance(sample, (tuple, list)) or not any(map(_is_image, sample)):
            return sample
        rest = tuple(part for part in sample if not _is_image(part))
        return rest[0] if len(rest) == 1 else rest or None


def _files_below(folder: Path) -> list[str]:
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [os.path.join(parent, name) for name in files if not name.startswith(".")]
    return sorted(found)


def _parts(sample: Any) -> list[Any]:
    if isinstance(sample, dict):
        return list(sample.values())
    return list(sample) if isinstance(sample, (tuple, list)) else [sample]


def _is_image(value: Any) -> bool:
    return any(kind.__module__ == "PIL.Image" and kind.__name__ == "Image" for kind in type(value).__mro__)


def _png(image: Any) -> bytes:
    file = io.BytesIO()
    try:
        image.save(file, "PNG")
    except OSError as error:
        raise SourceError(f"an image of mode {image.mode} cannot be saved as PNG ({error})") from error
    return file.getvalue()
