"""The loading test from the server's copy: pulled, or streamed where there is no other."""

import inspect
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench_core import DATA_ROOT_VARIABLE
from filelock import FileLock

from bench_data.cloud import CloudVersion, pull
from bench_data.dataset import ChunkDataset
from bench_data.loading_test import LoadingTest, load_samples, loading_mark

PASSED = ".server-loading-test"
"""Holds which version passed the test last, and with which class, so that nothing is fetched twice."""

LOCK = ".server-loading-test.lock"
"""Held by who has a copy: there is one at a time, and what a killed process left of its own is removed."""


def load_from_server(
    dataset: ChunkDataset,
    folder: Path,
    version: CloudVersion,
    project: str,
    arguments: tuple[tuple[Any, ...], dict[str, Any]],
) -> LoadingTest:
    """Load samples of the server's copy through the user's class.

    Args:
        dataset: The user's dataset, of the local copy, or streamed.
        folder: Its folder on this machine.
        version: The version on the server.
        project: The project's id.
        arguments: What `dataset` was made with.

    Raises:
        LoadingTestError: A sample cannot be loaded.
        CloudError: The copy cannot be fetched.
    """
    mark = f"{project} {version.version_number} {loading_mark(dataset, arguments)}"
    passed = folder / PASSED
    with FileLock(folder / LOCK):
        if passed.exists() and passed.read_text() == mark:
            return LoadingTest(tested=0, wanted=0, seconds=0.0, cached=True)
        if dataset.remote is not None:
            test = load_samples(dataset)
        else:
            with _copy(folder, version, project) as root, _data_root(root):
                args, kwargs = _with_root(type(dataset), *arguments, root)
                test = load_samples(type(dataset)(*args, **kwargs))
        if test.tested == test.wanted:
            passed.write_text(mark)
        return test


@contextmanager
def _copy(folder: Path, version: CloudVersion, project: str) -> Iterator[Path]:
    """A root with the server's copy, beside the local one: on the server's own disk it takes no room."""
    root = folder.with_name(f".{folder.name}.from-server")
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    try:
        pull(folder.name, project=project, version=version.version_number, root=root)
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def _data_root(root: Path) -> Iterator[None]:
    """For classes that take no root: ChunkDataset looks there."""
    before = os.environ.get(DATA_ROOT_VARIABLE)
    os.environ[DATA_ROOT_VARIABLE] = str(root)
    try:
        yield
    finally:
        del os.environ[DATA_ROOT_VARIABLE]
        if before is not None:
            os.environ[DATA_ROOT_VARIABLE] = before


def _with_root(
    dataset_class: type[ChunkDataset], args: tuple[Any, ...], kwargs: dict[str, Any], root: Path
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with another root, if they have one."""
    signature = inspect.signature(dataset_class)
    bound = signature.bind(*args, **kwargs)
    named = {*bound.arguments, *bound.kwargs}
    for parameter, value in bound.arguments.items():
        kind = signature.parameters[parameter].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            bound.arguments[parameter] = value | ({"root": root} if "root" in value else {})
        elif kind is inspect.Parameter.VAR_POSITIONAL:  # as ChunkDataset takes them
            rest = [key for key in ("name", "root") if key not in named]
            if "root" in rest[: len(value)]:
                at = rest.index("root")
                bound.arguments[parameter] = (*value[:at], root, *value[at + 1 :])
        elif parameter == "root":
            bound.arguments[parameter] = root
    return bound.args, bound.kwargs
