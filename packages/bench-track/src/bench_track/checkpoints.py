"""Checkpoints below a folder: saved without stalling the training, and found again whole."""

import json
import math
import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_track.checkpoint_folder import Checkpoint, CheckpointFile, Content, find
from bench_track.checkpoint_writing import Partial, remove, sweep
from bench_track.copy_memory import CopyMemory
from bench_track.errors import CheckpointError
from bench_track.keeping import Keeping
from bench_track.model_sources import Builders, describe_models, state_dicts
from bench_track.records import MAX_STEP
from bench_track.resumed import Resumed, load_state
from bench_track.snapshot import Snapshot

State = Mapping[str, Any] | str | os.PathLike[str]
"""A dict, or the path of a file or a folder that the script has written."""


class Checkpoints:
    """The checkpoints below a folder; docs/tracking.md has their layout.

    A dict is written by torch.save, so torch has to be there. Without it, write files and give their path.

    Args:
        root: The folder; it need not exist yet.
        keeping: Which are kept; unless given the newest 2, and the best beside.
        config: Gives what is recorded of the run's configuration; JSON has to have it.
        on_saved: Called, by another thread, with one that is whole now, and whether it is the best so far.
        on_removed: Called likewise with the name of one that was removed.

    Example:
        checkpoints = Checkpoints(Path("checkpoints"))
        if state := checkpoints.resume():
            model.load_state_dict(state["model"])
        for step in range(state.step + 1 if state else 0, 10_000):
            ...
            if step % 1000 == 0:
                checkpoints.save({"model": model, "optimizer": optimizer, "loader": loader}, step=step)
        checkpoints.wait()
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        keeping: Keeping | None = None,
        config: Callable[[], Mapping[str, Any]] = dict,
        on_saved: Callable[[Checkpoint, bool], None] = lambda checkpoint, is_best: None,
        on_removed: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.root = Path(os.path.abspath(root))
        self.keeping = keeping or Keeping()
        self._config, self._on_saved, self._on_removed = config, on_saved, on_removed
        self._lock = threading.RLock()  # the handler of a signal may save within a save
        self._thread: threading.Thread | None = None
        self._error: CheckpointError | None = None
        self._last_time = 0
        self._memory: CopyMemory | None = None
        self._was_swept = False

    def save(
        self, state: State, *, step: int, metric: float | None = None, builders: Builders | None = None
    ) -> None:
        """Save a checkpoint: as things are now. It is whole on the disk some time later. Any thread may ask.

        If the one before is still being written, this waits for it first: every checkpoint that was asked
        for is made, and no more than one copy is in memory. The memory of the copy is kept for the next one.

        Args:
            state: A dict: its tensors are copied to the CPU, which is the pause, and another thread writes
                them. A module, an optimizer or a loader in it stands for its `state_dict()`. Or the path of a
                file or a folder, which is copied.
            step: The step that it was made at.
            metric: How good the model is; NaN counts as none.
            builders: For a model of `state`: a function and its keyword arguments that make the module.

        Raises:
            CheckpointError: It cannot be made; or the one before could not be written, while this one is.
        """
        with self._lock:
            self._save(state, step, metric, builders or {})

    def _save(self, state: State, step: int, metric: float | None, builders: Builders) -> None:
        self.let_finish()
        if not isinstance(step, int) or not 0 <= step <= MAX_STEP:
            raise CheckpointError(f"step={step!r} is no step", hint="A step is an integer, 0 or more.")
        if not isinstance(state, Mapping | str | os.PathLike):
            raise CheckpointError(
                f"a {type(state).__name__} is no checkpoint",
                hint="Give a dict, or the path of a file or folder.",
            )
        number = None if metric is None else float(metric)
        made = _Made(
            step=step,
            metric=number if number is not None and math.isfinite(number) else None,
            time=self._now(),
            config=_as_json(self._config(), "the run's config"),
            models=describe_models({} if isinstance(state, str | os.PathLike) else state, builders),
        )
        if isinstance(state, str | os.PathLike):
            write = self._copied(Path(state), made)
        else:
            write = self._taken(state, made)
        former, self._error = self._error, None
        # Not a daemon: at the end of the script, Python waits for it.
        self._thread = threading.Thread(target=self._write, args=(write, made), name="bench_track checkpoint")
        self._thread.start()
        if former is not None:  # only now: who ends by it has lost nothing that could be written
            raise former

    def wait(self) -> None:
        """Return when the checkpoint that is being written is on the disk.

        Raises:
            CheckpointError: It could not be written.
        """
        self.let_finish()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def let_finish(self) -> None:
        """Likewise, and say nothing; for the handler of a signal."""
        if (thread := self._thread) is not None and thread is not threading.current_thread():
            thread.join()

    def free_memory(self) -> None:
        """Give back the memory of the last copy, when it is written."""
        self.let_finish()
        self._memory = None

    def newest(self) -> Checkpoint | None:
        """The newest that is whole: all of its files are there, in their sizes. None: there is none."""
        return next((one for one in find(self.root) if isinstance(one, Checkpoint)), None)

    def resume(self) -> Resumed | None:
        """The state of the newest whole checkpoint, compared with its digests; None: there is none.

        Tensors are on the CPU. What is skipped because it is torn or damaged is said by a warning.

        Raises:
            CheckpointError: It is whole, and cannot be loaded all the same: a class is gone, or torch is.
        """
        self.let_finish()
        for found in find(self.root):
            try:
                if isinstance(found, CheckpointError):
                    raise found
                found.verify()
            except CheckpointError as error:
                warnings.warn(f"a checkpoint is passed over: {error.message}", RuntimeWarning, stacklevel=2)
                continue
            return Resumed(load_state(found) if found.content == "state" else {}, found)
        return None

    def _now(self) -> int:
        """A time after that of every checkpoint before, whatever the clock says: it is their order."""
        newest = self.newest()
        self._last_time = max(time.time_ns(), self._last_time + 1, newest.time + 1 if newest else 0)
        return self._last_time

    def _taken(self, state: Mapping[str, Any], made: "_Made") -> Callable[[], Checkpoint]:
        # Taken out meanwhile, for the handler of a signal that saves within this.
        memory, self._memory = self._memory or CopyMemory(), None
        memory.begin()
        snapshot = Snapshot(state_dicts(state), memory)

        def write() -> Checkpoint:
            partial = self._partial(made)
            try:
                file = partial.write_state(snapshot.state())
                return partial.commit(lambda folder: made.checkpoint(folder, "state", (file,)))
            except BaseException:
                partial.discard()
                raise
            finally:
                self._memory = memory

        return write

    def _copied(self, source: Path, made: "_Made") -> Callable[[], Checkpoint]:
        content: Content = "folder" if source.is_dir() else "file"
        try:
            partial = self._partial(made)
            try:
                partial.copy(source)
            except BaseException:
                partial.discard()
                raise
        except OSError as error:
            raise _failed(made.step, error) from error

        def write() -> Checkpoint:
            try:
                files = partial.hash_copies()
                return partial.commit(lambda folder: made.checkpoint(folder, content, files))
            except BaseException:
                partial.discard()
                raise

        return write

    def _partial(self, made: "_Made") -> Partial:
        if not self._was_swept:
            self._was_swept = True
            sweep(self.root)
        return Partial(self.root, made.step)

    def _write(self, write: Callable[[], Checkpoint], made: "_Made") -> None:
        try:
            checkpoint = write()
            whole = [one for one in find(self.root) if isinstance(one, Checkpoint)]
            self._on_saved(checkpoint, self._is_best(checkpoint, whole))
            for one in self.keeping.surplus(whole):
                remove(one)
                self._on_removed(one.name)
        except CheckpointError as error:
            self._error = error
        except Exception as error:
            self._error = _failed(made.step, error)

    def _is_best(self, checkpoint: Checkpoint, whole: list[Checkpoint]) -> bool:
        rating = self.keeping.rating
        return checkpoint.metric is not None and all(rating(checkpoint) >= rating(one) for one in whole)


@dataclass(frozen=True, kw_only=True)
class _Made:
    """What is known of a checkpoint when it is asked for."""

    step: int
    metric: float | None
    time: int
    config: dict[str, Any]
    models: dict[str, Any]

    def checkpoint(self, folder: Path, content: Content, files: tuple[CheckpointFile, ...]) -> Checkpoint:
        return Checkpoint(folder=folder, content=content, files=files, **vars(self))


def _failed(step: int, error: Exception) -> CheckpointError:
    reason = (error.strerror or str(error)) if isinstance(error, OSError) else repr(error)
    hint = "Older checkpoints are still there. "
    hint += "Make room on its disk." if isinstance(error, OSError) else "Look at what was given to be saved."
    return CheckpointError(f"the checkpoint of step {step} could not be written: {reason}", hint=hint)


def _as_json(value: Mapping[str, Any], what: str) -> dict[str, Any]:
    try:
        copy: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{what} is not what JSON has: {error}") from error
    return copy
