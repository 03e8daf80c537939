"""`process_datasets`: chunk a dataset and see that it loads, here and from the server."""

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench_core import PROJECT_FILE, PROJECT_VARIABLE

from bench_data.cloud import CloudVersion, push
from bench_data.dataset import ChunkDataset
from bench_data.errors import NoCloudError, OptionsError
from bench_data.folders import dataset_folder
from bench_data.info import WriteInfo, info_fields
from bench_data.known_project import KnownProject, known_project
from bench_data.loading_test import LoadingTest, run_loading_test
from bench_data.processor import ProcessorDataset
from bench_data.sender import sending
from bench_data.server_copy import load_from_server
from bench_data.writer import plan_chunks, write_and_send, write_chunks

listeners: list[Callable[[str, WriteInfo], None]] = []
"""Told of each dataset when `process_datasets` is done with it: bench_data.run_main has one."""

known_versions: dict[str, CloudVersion] = {}
"""Versions that the server has, by dataset, as bench_data.run_main was told: they need no push."""


def process_datasets(
    processor: ProcessorDataset,
    dataset_class: type[ChunkDataset],
    /,
    *args: Any,
    keep_chunks: bool = True,
    **kwargs: Any,
) -> WriteInfo:
    """Write a dataset, or keep what is there if nothing changed, and load samples of it in worker processes.

    The dataset's name is the argument of `dataset_class` called `name`, or else its first; its root the one
    called `root`. How it is written is `processor.write_options`.

    If a project is known (`$BENCH_PROJECT`, or a `bench.toml` here or above) and this machine has a login,
    the dataset then goes to the server, as far as the server lacks it, and samples of the server's copy are
    loaded.

    Data larger than the disk is written with `keep_chunks=False`, in a project and with a login: each chunk
    goes to the server when it is finished, and from here when it is there. `dataset_class` then streams.

    Args:
        processor: Where the samples come from.
        dataset_class: The ChunkDataset, as a class.
        *args: Its arguments.
        keep_chunks: Whether the chunks stay on this machine.
        **kwargs: Its keyword arguments.

    Returns:
        What the dataset is now, how many chunks were written, and what it is on the server.

    Raises:
        LoadingTestError: A sample cannot be loaded through `dataset_class`.
        CloudError: The dataset cannot be sent to the server. The same call goes on from there.
        DataError: As `write_chunks`.

    Example:
        process_datasets(CatDog(), CatDogChunk, "train")
    """
    if not (isinstance(dataset_class, type) and issubclass(dataset_class, ChunkDataset)):
        raise OptionsError(
            f"{dataset_class!r} is not a ChunkDataset class", hint="Pass the class, not an object."
        )
    name, root = _place(dataset_class, args, kwargs)
    project = known_project()
    info = write_chunks(processor, name, root) if keep_chunks else _send(processor, name, root, project)
    _say(_describe(name, info))
    dataset = dataset_class(*args, **kwargs)
    _check_opened(dataset, info)
    if keep_chunks:
        _say(_describe_test(name, run_loading_test(dataset, (args, kwargs))))
    if project is not None:
        info = _upload(name, info, dataset, project.id, (args, kwargs))
    for tell in listeners:
        tell(name, info)
    return info


def _send(
    processor: ProcessorDataset, name: str, root: str | os.PathLike[str] | None, project: KnownProject | None
) -> WriteInfo:
    if project is None:
        raise OptionsError(
            f"{name}: keep_chunks=False needs a server, and no project is known",
            hint=f"Set {PROJECT_VARIABLE}, or go to a folder with a {PROJECT_FILE}.",
        )
    with sending(project, name, known_versions.get(name)) as sender:
        if name not in known_versions:
            sender.start()  # what is wrong shows before anything is written
        return write_and_send(processor, name, root, sender)


def _check_opened(dataset: ChunkDataset, info: WriteInfo) -> None:
    """Whether the user's class opened what was written."""
    opened = dataset.info
    if (opened.path == info.path) if not info.streamed else (dataset.fingerprint == info.fingerprint):
        return
    raise OptionsError(
        f"{type(dataset).__name__} opened {opened.path}, and {info.path} was written",
        hint="Call the arguments that hold the dataset's name and root `name` and `root`.",
    )


def plan_datasets(
    processor: ProcessorDataset,
    dataset_class: type[ChunkDataset],
    /,
    *args: Any,
    keep_chunks: bool = True,
    **kwargs: Any,
) -> WriteInfo:
    """Stands in for `process_datasets` in a dry run: says what that would do.

    Returns:
        What the dataset is, or would be as far as that is known.
    """
    name, root = _place(dataset_class, args, kwargs)
    plan = plan_chunks(processor, name, root, keep_chunks=keep_chunks)
    if plan.is_changed:
        _say(
            f"{name}: {plan.samples_to_write:,} of {plan.samples:,} samples would be written, "
            f"{plan.chunks_to_keep:,} chunks would stay"
        )
        info = WriteInfo(
            **_unknown_fields(dataset_folder(name, root), plan.samples), chunks_written=1, seconds=0
        )
    else:
        assert plan.previous is not None
        info = WriteInfo(**info_fields(plan.previous), chunks_written=0, seconds=0)
        _say(_describe(name, info))
    for tell in listeners:
        tell(name, info)
    return info


def _unknown_fields(path: Path, samples: int) -> dict[str, Any]:
    texts = dict.fromkeys(("schema_text", "fingerprint", "source_digest"), "")
    numbers = dict.fromkeys(("bytes", "chunks", "segments"), 0)
    flags = dict.fromkeys(("with_files", "streamed"), False)
    return {"path": path, "samples": samples, "schema": {}, **texts, **numbers, **flags}


def _upload(
    name: str,
    info: WriteInfo,
    dataset: ChunkDataset,
    project: str,
    arguments: tuple[tuple[Any, ...], dict[str, Any]],
) -> WriteInfo:
    try:
        version = info.uploaded or known_versions.get(name)
        if version is None or version.fingerprint != info.fingerprint:
            version = push(name, project=project, root=info.path.parent)
    except NoCloudError as error:
        _say(f"{name}: not uploaded: {error.message}")
        return info
    _say(_describe_upload(name, version))
    test = load_from_server(dataset, info.path, version, project, arguments)
    _say(_describe_test(f"{name} from the server", test))
    return replace(info, uploaded=version)


def _place(
    dataset_class: type[ChunkDataset], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str, str | os.PathLike[str] | None]:
    signature = inspect.signature(dataset_class)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise OptionsError(f"{dataset_class.__name__} cannot be made with these arguments: {error}") from None
    bound.apply_defaults()
    given: dict[str, Any] = {}
    for parameter, value in bound.arguments.items():
        kind = signature.parameters[parameter].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            given.update(value)
        elif kind is inspect.Parameter.VAR_POSITIONAL:  # as ChunkDataset takes them
            given.update(zip([key for key in ("name", "root") if key not in given], value, strict=False))
        else:
            given[parameter] = value
    name = given.get("name", next(iter(given.values()), None))
    if not isinstance(name, str):
        raise OptionsError(f"{dataset_class.__name__}: {name!r} is not a dataset's name")
    dataset_folder(name)  # checks the name
    return name, given.get("root")


def _describe(name: str, info: WriteInfo) -> str:
    if not info.chunks_written:
        return f"{name}: nothing changed ({info.samples:,} samples in {info.chunks:,} chunks)"
    kept = info.chunks - info.chunks_written
    return (
        f"{name}: {info.samples:,} samples, {info.bytes / 1e6:,.1f} MB in {info.chunks:,} chunks "
        f"({info.chunks_written:,} written, {max(0, kept):,} kept) in {info.seconds:.1f} s"
    )


def _describe_upload(name: str, version: CloudVersion) -> str:
    over = version.moved_bytes + version.linked_bytes
    what = f"{over / 1e6:,.1f} MB uploaded" if over else "the server has it"
    return f"{name}: version {version.version_number}, {what}"


def _describe_test(name: str, test: LoadingTest) -> str:
    if test.cached:
        return f"{name}: loading test passed before"
    time_up = "" if test.tested == test.wanted else f" of {test.wanted:,}; the time was up"
    return f"{name}: loading test passed ({test.tested:,} samples{time_up}) in {test.seconds:.1f} s"


def _say(line: str) -> None:
    print(line, file=sys.stderr)
