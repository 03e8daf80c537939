"""Datasets that are on a server: opened, and their chunks fetched when they are needed, by bench-agent."""

import contextlib
import fcntl
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_core import CACHE_DIR_VARIABLE, DATASETS_VARIABLE
from platformdirs import user_cache_path

from bench_data.agent_connection import agent_of
from bench_data.errors import CloudError, FormatError, OptionsError
from bench_data.fetched_chunks import FetchedChunks
from bench_data.known_project import KnownProject
from bench_data.open_chunks import Closable
from bench_data.progress import bytes_bar
from bench_data.zip_reader import StoredZip

EARLY = ".early"
"""What the name of an early copy ends with."""

ATTEMPTS = 5
"""So often may a chunk leave the cache between its arrival and its opening."""


@dataclass(frozen=True)
class Remote:
    """Where the chunks of a dataset come from.

    Args:
        cache: The cache folder.
        endpoint: The server's URL; None: that of the login.
        project: The project's id.
        dataset: The dataset's name there.
        fingerprint: Of the version.
    """

    cache: str
    endpoint: str | None
    project: str
    dataset: str
    fingerprint: str

    @property
    def folder(self) -> Path:
        """Where the dataset is in the cache."""
        return Path(self.cache) / "datasets" / self.fingerprint

    def request(self, kind: str, **fields: Any) -> dict[str, Any]:
        """A request about this dataset."""
        place = {"endpoint": self.endpoint, "project": self.project}
        return {
            "request": kind,
            **place,
            "dataset": self.dataset,
            "fingerprint": self.fingerprint,
            **fields,
        }


def cache_folder() -> Path:
    """The folder that streamed chunks are kept in: `$BENCH_CACHE_DIR`, else the platform's."""
    given = os.environ.get(CACHE_DIR_VARIABLE)
    return Path(given).absolute() if given else user_cache_path("bench", appauthor=False)


def open_remote(name: str, project: KnownProject, version_number: int | None = None) -> Remote:
    """Open a dataset of a project: afterwards its folder in the cache has all but the chunks.

    Args:
        name: The dataset's name.
        project: The project.
        version_number: Which version; unless given, the one that `$BENCH_DATASETS` names, else the latest.

    Raises:
        CloudError: The server does not have it, refuses, or cannot be reached.
    """
    cache = cache_folder()
    place = {"endpoint": project.endpoint, "project": project.id}
    number = _pinned(name) if version_number is None else version_number
    request = {"request": "open", **place, "dataset": name, "version_number": number}
    opened = _ask(cache, request, name)
    if opened["note"]:
        print(f"bench: {opened['note']}", file=sys.stderr)
    return Remote(str(cache), project.endpoint, project.id, name, opened["fingerprint"])


def early_copy(path: Path) -> Path:
    """Where the early copy of a chunk is: as long, with its columns and the files that are needed first.

    What it does not have reads as zeros, which no checksum takes for the bytes that were written.
    """
    return path.with_name(path.name + EARLY)


def open_fetched(
    chunk: Closable, path: Path, remote: Remote, open_file: Callable[[Path], StoredZip], *, takes_early: bool
) -> StoredZip:
    """Open a chunk's file, which is fetched if it is not there, or is not what it was.

    Args:
        chunk: Whose file it is.
        path: The file.
        remote: Where it comes from.
        open_file: Opens it, or its early copy.
        takes_early: Whether an early copy will do.

    Raises:
        CloudError: It cannot be fetched.
        FormatError: It is damaged on the server too.
    """
    place, mended = path, False
    for _ in range(ATTEMPTS):
        try:
            file = open_file(place)
        except FormatError:
            if place != path:  # it has gone, most likely because the whole chunk is there
                place, takes_early = path, False
                continue
            if path.exists():
                if mended:
                    raise
                mended = True
            _chunks.let_go_of_unused()
            is_early = _fetch(path, remote, damaged=path.exists(), takes_early=takes_early)
            place = early_copy(path) if is_early else path
        else:
            with contextlib.suppress(OSError):  # a file system without locks: it only costs room
                fcntl.flock(file.descriptor, fcntl.LOCK_SH)
            _chunks.admit(chunk)
            return file
    raise CloudError(
        f"chunk {path.name} left the cache {ATTEMPTS} times before it could be opened",
        hint="The cache is too small for all who use it: raise BENCH_CACHE_BYTES.",
    )


def fetch_again(path: Path, remote: Remote) -> None:
    """Replace a chunk whose bytes are not those that were written.

    Raises:
        CloudError: It cannot be fetched.
    """
    _fetch(path, remote, damaged=True, takes_early=False)


_chunks = FetchedChunks()


def _fetch(path: Path, remote: Remote, *, damaged: bool, takes_early: bool) -> bool:
    """Have a chunk fetched; whether what there is now is its early copy."""
    request = remote.request("want", chunk=path.stem, damaged=damaged, takes_early=takes_early)
    answer = _ask(Path(remote.cache), request, remote.dataset)
    if answer["advise"]:
        warnings.warn(
            f"the chunks of {remote.dataset!r} are fetched one by one as samples are asked for; with"
            " bench_data.loader(...) in place of DataLoader they are fetched ahead",
            stacklevel=2,
        )
    return bool(answer["early"])


class _Waiting:
    """What a user sees of a wait: the first one's progress on a terminal, and what it waits for."""

    shown = False

    def __init__(self, name: str) -> None:
        self._name, self._began = name, time.monotonic()
        self._ended = contextlib.ExitStack()
        self._show: Callable[[int, int], None] | None = None

    def __enter__(self) -> "_Waiting":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.close()

    def heard(self, event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            if self._show is None and event["tell"] and not _Waiting.shown:
                _Waiting.shown = True
                self._show = self._ended.enter_context(bytes_bar(f"Fetching {self._name}", None))
            if self._show is not None:
                self._show(event["bytes"], event["total_bytes"])
        elif event["event"] == "full":
            _chunks.let_go()
        elif event["tell"]:
            seconds = time.monotonic() - self._began
            print(
                f"bench: waiting for {self._name!r}, {seconds:.0f} s: {event['message']};"
                " the training goes on when it is back",
                file=sys.stderr,
            )


def _ask(cache: Path, request: dict[str, Any], name: str) -> dict[str, Any]:
    with _Waiting(name) as waiting:
        return agent_of(cache).request(request, waiting.heard)


def _pinned(name: str) -> int:
    """The version that the environment names; 0: the latest."""
    text = os.environ.get(DATASETS_VARIABLE)
    try:
        number = json.loads(text).get(name, 0) if text else 0
    except (ValueError, AttributeError):
        number = None
    if type(number) is not int or number < 0:
        raise OptionsError(
            f"{DATASETS_VARIABLE} is {text!r}", hint="Give version numbers by name, such as '{\"train\": 3}'."
        )
    return number
