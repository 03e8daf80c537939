"""What a checkpoint gives back."""

import pickle
from collections.abc import Mapping
from typing import Any

from bench_track.checkpoint_folder import Checkpoint
from bench_track.errors import CheckpointError


class Resumed(dict[str, Any]):
    """The dict of a checkpoint; empty if it is a file or a folder, which `path` names.

    Args:
        state: The dict.
        checkpoint: What it was read from.
    """

    def __init__(self, state: Mapping[str, Any], checkpoint: Checkpoint) -> None:
        super().__init__(state)
        self.checkpoint = checkpoint
        self.step, self.metric, self.path = checkpoint.step, checkpoint.metric, checkpoint.path

    def __bool__(self) -> bool:
        return True


def load_state(checkpoint: Checkpoint) -> dict[str, Any]:
    """What torch.save wrote.

    First without running code; what that refuses is loaded all the same, as the run's own file that it is.

    Raises:
        CheckpointError: It cannot be loaded: a class is gone, or torch is.
    """
    try:
        import torch

        try:
            state: dict[str, Any] = torch.load(checkpoint.path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            state = torch.load(checkpoint.path, map_location="cpu", weights_only=False)
    except Exception as error:
        raise CheckpointError(
            f"{checkpoint.path} is whole, and cannot be loaded: {error}",
            hint="Use the code and the versions that it was saved with.",
        ) from error
    return state
