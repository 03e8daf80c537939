"""The dataset that a model trains from."""

import os
from collections.abc import Sequence
from operator import index as as_index
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from bench_core import ProjectFileError

from bench_data.chunk_store import ChunkStore
from bench_data.errors import CloudError, DatasetNotFoundError, LoaderError
from bench_data.folders import dataset_folder
from bench_data.info import DatasetInfo, info_fields
from bench_data.known_project import KnownProject, known_project
from bench_data.manifest import Manifest, read_manifest
from bench_data.remote import Remote, open_remote
from bench_data.split import Cut, split_fingerprint, split_positions
from bench_data.streamed import read_streamed

if TYPE_CHECKING:
    from torch.utils.data import ConcatDataset

Indices: TypeAlias = "Sequence[int] | np.ndarray[Any, np.dtype[np.int64]]"


class ChunkDataset:
    """A map-style torch dataset over a chunked dataset.

    Sample i is `(label, files)`, with the label as the processor gave it and a list of `ChunkFile`; where no
    sample has a file it is the label alone. Subclass it and override `__getitem__` to transform what
    `super().__getitem__(item)` returns. It can be pickled and forked.

    Where its chunks are on a server only (`process_datasets(..., keep_chunks=False)`), it is streamed from
    there. So it is where there is no such dataset on this machine and a project is known (`$BENCH_PROJECT`,
    else that of the nearest `bench.toml` upwards). It has the same samples in the same order, which `loader`
    lets come ahead into a cache.

    Args:
        name: The dataset's name.
        root: The folder that holds datasets; if not given, `$BENCH_DATA_ROOT`, else `.bench/datasets` of the
            nearest project folder upwards, else of the current folder.

    Raises:
        DatasetNotFoundError: There is no such dataset.
        FormatError: It is damaged.
        CloudError: The server does not have it, refuses, or cannot be reached.

    Example:
        class CatDogChunk(ChunkDataset):
            def __getitem__(self, item):
                label, files = super().__getitem__(item)
                return to_tensor(Image.open(files[0])), label
    """

    def __init__(self, name: str, root: str | os.PathLike[str] | None = None) -> None:
        manifest, self.__remote = _find(name, root)
        self.__name = name
        self.__info = DatasetInfo(**{**info_fields(manifest), "streamed": self.__remote is not None})
        rows = manifest.chunk_rows(self.__remote)
        self.__store = ChunkStore(rows, manifest.chunk_starts, manifest.tree, with_files=manifest.with_files)

    def __repr__(self) -> str:
        label = self.__info.schema_text
        return f"{type(self).__name__}({self.__name!r}, {len(self):,} samples, label: {label})"

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.__name

    @property
    def info(self) -> DatasetInfo:
        """What is known of the dataset."""
        return self.__info

    @property
    def fingerprint(self) -> str:
        """The digest of what was written: the order of an epoch follows from it, the seed and the epoch."""
        return self.__info.fingerprint

    @property
    def chunk_starts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The number of each chunk's first sample, and the total, (C + 1,)."""
        return self.__store.starts

    @property
    def remote(self) -> Remote | None:
        """Where its chunks come from; None where they are on this machine."""
        return self.__remote

    def __len__(self) -> int:
        return self.__info.samples

    def __getitem__(self, item: int) -> Any:
        return self.__store.read((_checked(item, len(self)),))[0]

    def __getitems__(self, items: Indices) -> list[Any]:
        """Several samples at once, as torch's DataLoader asks for a batch."""
        if type(self).__getitem__ is not ChunkDataset.__getitem__:
            return [self[item] for item in items]  # the user's transform
        length = len(self)
        return self.__store.read([item if 0 <= item < length else _checked(item, length) for item in items])

    def __add__(self, other: Any) -> "ConcatDataset[Any]":
        from torch.utils.data import ConcatDataset

        return ConcatDataset([self, other])  # type: ignore[list-item]

    def stacked(self, items: Indices) -> Any:
        """The labels of several samples, every leaf stacked.

        Args:
            items: Their numbers (B,).

        Returns:
            The label's structure with an array (B, *shape) for each leaf (a tensor for tensors), or a list of
            B values where shapes differ, for strings and for bytes. All are copies.
        """
        return self.__store.stacked(_checked_array(items, len(self)))

    def split(self, fraction: float, *, seed: int = 0) -> "tuple[ChunkSubset, ChunkSubset]":
        """Two parts that share no sample.

        A sample's part follows from its source and the seed: when samples are added, those that were there
        stay in their part, but for the few that keep the sizes exact. Samples made from the same files are
        told apart by their place only.

        Args:
            fraction: Of the samples, in the first part, 0 to 1.
            seed: Another one gives another split.
        """
        return split_dataset(self, fraction, seed)

    def source_keys(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """What each sample was made from, as digests (N, 16).

        Raises:
            LoaderError: The dataset was rewritten since it was opened.
        """
        manifest = read_manifest(self.__info.path)
        if manifest.fingerprint != self.fingerprint:
            raise LoaderError(f"{manifest.folder} was rewritten since it was opened", hint="Open it again.")
        return manifest.column("keys")


class ChunkSubset:
    """Some of a dataset's samples, read through it; made by `split`.

    Args:
        dataset: The dataset.
        indices: Which samples, ascending, int64 (n,).
        cut: The part of a split that they are; None if they are another choice.
    """

    def __init__(
        self,
        dataset: "ChunkDataset | ChunkSubset",
        indices: np.ndarray[Any, np.dtype[np.int64]],
        cut: Cut | None = None,
    ) -> None:
        self.dataset = dataset
        self.cut = cut
        self.indices = indices
        self.chunk_starts: np.ndarray[Any, np.dtype[np.int64]] = indices.searchsorted(dataset.chunk_starts)
        self.fingerprint: str = split_fingerprint(dataset.fingerprint, indices)

    @property
    def remote(self) -> Remote | None:
        """Where the dataset's chunks come from; None where they are on this machine."""
        return self.dataset.remote

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, item: int) -> Any:
        return self.dataset[int(self.indices[_checked(item, len(self))])]

    def __getitems__(self, items: Indices) -> list[Any]:
        return self.dataset.__getitems__(self.indices[_checked_array(items, len(self))].tolist())

    def stacked(self, items: Indices) -> Any:
        """The labels of several samples, every leaf stacked, as `ChunkDataset.stacked`."""
        return self.dataset.stacked(self.indices[_checked_array(items, len(self))])

    def split(self, fraction: float, *, seed: int = 0) -> "tuple[ChunkSubset, ChunkSubset]":
        """Two parts that share no sample, as `ChunkDataset.split`."""
        return split_dataset(self, fraction, seed)

    def source_keys(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """What each sample was made from, as digests (n, 16)."""
        keys: np.ndarray[Any, np.dtype[np.uint8]] = self.dataset.source_keys()[self.indices]
        return keys


def _find(name: str, root: str | os.PathLike[str] | None) -> tuple[Manifest, Remote | None]:
    """A dataset of this machine, else of the project."""
    folder = dataset_folder(name, root)
    try:
        manifest = read_manifest(folder)
    except DatasetNotFoundError as error:
        remote = open_remote(name, _project_instead(error))
        return read_manifest(remote.folder), remote
    streamed = read_streamed(folder, manifest.fingerprint)
    if streamed is None:
        return manifest, None
    remote = open_remote(streamed.dataset, streamed.known_project, streamed.version_number)
    if remote.fingerprint != manifest.fingerprint:
        raise CloudError(
            f"version {streamed.version_number} of {streamed.dataset!r} on the server is not the one that was"
            f" written to {folder}",
            hint="Was it deleted there and another one made? process_datasets sends it again.",
        )
    return read_manifest(remote.folder), remote


def _project_instead(missing: DatasetNotFoundError) -> KnownProject:
    """The project that a dataset is streamed from when it is not on this machine."""
    try:
        project, why = known_project(), "in a project's folder, or with BENCH_PROJECT."
    except ProjectFileError as error:
        project, why = None, f"but {error.message}."
    if project is None:
        raise DatasetNotFoundError(
            missing.message, hint=f"Write it with write_chunks or process_datasets; or stream it: {why}"
        ) from None
    return project


def split_dataset(
    dataset: ChunkDataset | ChunkSubset, fraction: float, seed: int
) -> tuple[ChunkSubset, ChunkSubset]:
    """The two parts of `ChunkDataset.split`."""
    if not 0 <= fraction <= 1:
        raise LoaderError(f"cannot split at {fraction!r}", hint="Give a fraction from 0 to 1.")
    fraction = float(fraction)
    first, second = split_positions(dataset.source_keys(), fraction, seed)
    cuts = [Cut(fraction=fraction, seed=int(seed), side=side) for side in (0, 1)]
    return ChunkSubset(dataset, first, cuts[0]), ChunkSubset(dataset, second, cuts[1])


def _checked(item: Any, length: int) -> int:
    number = as_index(item)
    if not -length <= number < length:
        raise IndexError(f"sample {number} of {length}")
    return number + length if number < 0 else number


def _checked_array(items: Indices, length: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    numbers = np.asarray(items, np.int64)
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < length):
        if numbers.min() < -length or numbers.max() >= length:
            raise IndexError(f"samples {numbers.min()} to {numbers.max()} of {length}")
        numbers = np.where(numbers < 0, numbers + length, numbers)
    return numbers
