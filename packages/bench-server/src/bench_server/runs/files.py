"""The files of a run: what it left, and those of its checkpoints that the server keeps for it."""

from collections.abc import Iterator

from bench_server.errors import Refused
from bench_server.runs import artifacts
from bench_server.runs.artifacts import Artifact
from bench_server.runs.models import Run
from bench_server.tracks import checkpoints


def files_of(run: Run) -> list[Artifact]:
    """All of them, by path: `output/...`, `work/...`, and `checkpoints/NAME/...` of kept ones."""
    return [*checkpoints.kept_files(run), *artifacts.artifacts_of(run)]


def size_of(run: Run, path: str) -> int:
    """The bytes of one.

    Raises:
        Refused: ARTIFACT_NOT_FOUND.
    """
    kept = checkpoints.find_kept(run, path)
    return artifacts.size_of_artifact(run, path) if kept is None else kept[2]


def read(run: Run, path: str, start: int, length: int) -> Iterator[bytes]:
    """A range of one.

    Args:
        run: Whose.
        path: Of the file, as `files_of` has it.
        start: The first byte.
        length: Bytes; 0: to the end.

    Raises:
        Refused: ARTIFACT_NOT_FOUND, RANGE_INVALID, BLOB_DAMAGED.
    """
    kept = checkpoints.find_kept(run, path)
    if kept is None:
        yield from artifacts.read_artifact(run, path, start, length)
        return
    try:
        yield from checkpoints.read(run, kept[0], kept[1], start, length)
    except Refused as error:
        if error.reason not in ("CHECKPOINT_NOT_FOUND", "CHECKPOINT_ELSEWHERE"):
            raise
        raise artifacts.not_found(run, path) from None  # it was removed meanwhile
