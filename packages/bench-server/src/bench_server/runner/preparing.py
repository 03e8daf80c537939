"""Makes the folders of an attempt ready before its container is made. Every step can be repeated."""

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_core import DATA_ROOT_VARIABLE, atomic_write
from bench_data.manifest import MANIFEST, chunk_name, read_segment_digests, segment_name
from bench_data.validation import read_checked_manifest
from bench_deploy.inside import cache_variables
from bench_deploy.unpacking import unpack

from bench_server.datasets.store import Store
from bench_server.runner.folders import Places, make_folder

ATTEMPT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class PrivateThings:
    """What only the attempt may know.

    Args:
        token: Its own.
        environment: Secrets as variables.
        files: Secrets as files.
    """

    token: str = field(repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def make_folders(places: Places, user: tuple[int, int]) -> None:
    """Make the attempt's folders."""
    for path in (places.work, places.output, places.spool, places.cache):
        make_folder(path, user, 0o700)
    for path in (places.work.parent, places.spool.parent, places.cache.parent, places.work.parent.parent):
        path.chmod(0o711)  # the user of runs passes through, where there is no container
    places.datasets.mkdir(mode=0o755, exist_ok=True)
    places.datasets.chmod(0o755)


def put_code(store: Store, digest: str, size: int, places: Places, user: tuple[int, int]) -> None:
    """Unpack the bundle into the working directory."""
    with tempfile.TemporaryDirectory(dir=places.work.parent, prefix="bundle-") as folder:
        bundle = Path(folder) / "bundle.zip"
        with bundle.open("wb") as file:
            for piece in store.read(digest, 0, size):
                file.write(piece)
        unpack(bundle, places.work, user)


def put_code_listing(places: Places, files: Sequence[Sequence[Any]]) -> None:
    """Keep what is code, so that the training's own files can be told from it.

    Args:
        places: The attempt's.
        files: Path, kind, size and digest of each.
    """
    listing = {str(path): str(digest) for path, _, _, digest in files}
    atomic_write(places.work.parent / "code.json", json.dumps(listing).encode())


def put_dataset(store: Store, name: str, manifest: bytes, places: Places) -> None:
    """Make a dataset version a folder as bench-data reads it, of links to blobs; one that is there stays."""
    target = places.datasets / name
    if target.exists():
        return
    with tempfile.TemporaryDirectory(dir=places.work.parent, prefix="dataset-") as temporary:
        folder = Path(temporary) / "dataset"
        (folder / "chunks").mkdir(parents=True)
        (folder / MANIFEST).write_bytes(manifest)
        for digest in read_segment_digests(folder):
            _link(store, digest, folder / segment_name(digest))
        for digest in read_checked_manifest(folder).chunk_digests:
            _link(store, digest, folder / chunk_name(digest))
        (folder / MANIFEST).chmod(0o444)
        for path in (folder / "chunks", folder):
            path.chmod(0o755)
        os.rename(folder, target)


def _link(store: Store, digest: str, target: Path) -> None:
    """A link that the user of runs can read; a copy where a blob's file is its owner's alone."""
    store.link(digest, target)
    found = target.stat()
    if os.getuid() or found.st_mode & stat.S_IROTH:
        return
    copy = target.with_suffix(".copy")
    shutil.copyfile(target, copy)
    copy.chmod(0o444)
    os.replace(copy, target)


def put_private(places: Places, things: PrivateThings, user: tuple[int, int]) -> None:
    """Write token and secrets where only the attempt reads them."""
    places.private.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    places.private.parent.chmod(0o711)
    make_folder(places.private, user, 0o500)
    _write_private(places.private / "token", things.token.encode(), user)
    files = places.private / "files"
    make_folder(files, user, 0o500)
    for name, value in things.files.items():
        _write_private(files / name, value, user)
    content = {"environment": dict(things.environment), "files": sorted(things.files)}
    _write_private(places.private / "secrets.json", json.dumps(content).encode(), user)


def given_secrets(places: Places) -> list[bytes]:
    """What must not be in a log: token and secrets; nothing where they went with the machine's memory."""
    try:
        token = (places.private / "token").read_bytes()
        content = json.loads((places.private / "secrets.json").read_bytes())
        files = [(places.private / "files" / name).read_bytes() for name in content["files"]]
    except FileNotFoundError:
        return []
    return [token, *(value.encode() for value in content["environment"].values()), *files]


def _write_private(path: Path, data: bytes, user: tuple[int, int]) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
    with open(descriptor, "wb") as file:
        if os.getuid() == 0:
            os.fchown(descriptor, *user)
        file.write(data)


def put_attempt_file(
    host: Places,
    seen: Places,
    *,
    run_id: str,
    number: int,
    command: Sequence[str],
    environment: Mapping[str, str],
    grace_seconds: int,
    log_quota_bytes: int,
) -> None:
    """Say what the agent is to do.

    Args:
        host: Where the file goes.
        seen: The paths as the agent sees them.
        run_id: The run.
        number: The attempt's.
        command: The training's program and arguments.
        environment: Its variables.
        grace_seconds: From SIGTERM to SIGKILL.
        log_quota_bytes: What is kept of its output.
    """
    content = {
        "version": ATTEMPT_VERSION,
        "run_id": run_id,
        "attempt": number,
        "command": list(command),
        "work": str(seen.work),
        "spool": str(seen.spool),
        "private": str(seen.private),
        "environment": dict(environment),
        "socket": str(seen.socket / "attempts.sock"),
        "grace_seconds": grace_seconds,
        "log_quota_bytes": log_quota_bytes,
    }
    atomic_write(host.attempt_file, json.dumps(content, indent=2).encode())
    host.attempt_file.chmod(0o444)  # whatever the umask is


def training_environment(
    seen: Places, *, run_id: str, name: str, number: int, grace_seconds: float
) -> dict[str, str]:
    """The variables that every training has."""
    return {
        "BENCH_RUN": run_id,
        "BENCH_RUN_NAME": name,
        "BENCH_ATTEMPT": str(number),
        "BENCH_GRACE_SECONDS": str(grace_seconds),
        "BENCH_OUTPUT": str(seen.output),
        "BENCH_TRACK": str(seen.spool / "track"),
        DATA_ROOT_VARIABLE: str(seen.datasets),
        **cache_variables(seen.cache),
    }
