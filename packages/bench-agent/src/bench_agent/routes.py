"""What a transfer needs to know."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub

from bench_agent.patience import Patience


@dataclass(frozen=True)
class BlobFile:
    """A blob and where it lies here.

    Args:
        digest: Its BLAKE3, hex.
        size: Its bytes.
        path: The file.
    """

    digest: str
    size: int
    path: Path


@dataclass(frozen=True)
class Route:
    """Between this machine and a project.

    Args:
        stub: The server.
        project_id: The project.
        patience: Of the transfer.
        moved: Called with the bytes that have gone over; with a negative number if they have to go again.
        spared: Called with the bytes that did not have to.
        folder: The server's data folder, if it is this user's and here (`links.local_folder`).
    """

    stub: DatasetServiceStub
    project_id: str
    patience: Patience
    moved: Callable[[int], None]
    spared: Callable[[int], None] = lambda _: None
    folder: Path | None = None
