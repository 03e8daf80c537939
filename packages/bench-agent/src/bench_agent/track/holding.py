"""Holds the checkpoint that is being sent: the run may remove it at any time."""

import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath

from bench_track.checkpoint_folder import DOCUMENT, Checkpoint
from bench_track.errors import CheckpointError

from bench_agent.links import clone_or_link

SENDING = "sending"
"""The folder of the links, in the run's."""


class Hold:
    """Links to the files of a checkpoint, so that it stays whole whatever becomes of its own folder.

    Args:
        folder: The run's, which no other agent has. What a killed one held there is removed.
    """

    def __init__(self, folder: Path) -> None:
        self._root = folder / SENDING
        self.release()

    def take(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint, of links; itself where there can be none, as on another file system.

        Args:
            checkpoint: Whole; the one that is held is let go.

        Raises:
            CheckpointError: It names a file outside of its folder.
            FileNotFoundError: The run has removed it.
        """
        self.release()
        target = self._root / checkpoint.name
        for file in checkpoint.files:
            path = PurePosixPath(file.path)
            if path.is_absolute() or ".." in path.parts:
                raise CheckpointError(f"{checkpoint.folder} names {file.path}, which is not in it")
        try:
            for name in (*(file.path for file in checkpoint.files), DOCUMENT):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                clone_or_link(checkpoint.folder / name, target / name)
        except OSError:
            self.release()
            if not checkpoint.folder.exists():
                raise FileNotFoundError(f"{checkpoint.folder} is removed") from None
            return checkpoint
        return replace(checkpoint, folder=target)

    def release(self) -> None:
        """Let go of it."""
        shutil.rmtree(self._root, ignore_errors=True)
