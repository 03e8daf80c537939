"""A run, as its script sees it: `log` and what is around it."""

import os
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from time import time_ns
from types import TracebackType
from typing import Any

from bench_track.checkpoint_folder import Checkpoint
from bench_track.checkpoints import Checkpoints, State
from bench_track.errors import CheckpointError, TrackError, ValueLogError
from bench_track.gpu_values import GpuValues
from bench_track.jsons import checked
from bench_track.keeping import Keeping
from bench_track.media import MEDIA, media_of
from bench_track.model_sources import Builders, state_dicts
from bench_track.place import Place
from bench_track.records import MAX_STEP
from bench_track.resumed import Resumed
from bench_track.said import Said
from bench_track.spool import Position, Spool
from bench_track.spread import check_alone
from bench_track.stopping import EXIT_CODE, Stopping
from bench_track.values import PLAIN, check_names, checked_step, is_on_gpu, number

WAIT_SERIES = "system/data_wait_percent"
WAIT_NANOSECONDS = 5_000_000_000
"""Between two points of it; the agent's own are as far apart."""

UNKNOWN: Position = (None, 0, 0)

_modules = sys.modules


class Run:
    """A run. `bench_track.init` makes it.

    Args:
        place: Where it writes and what it is.
        rank: Of this process.
        is_writer: Whether this process writes. If not, all of this does nothing but check.
        keeping: Which checkpoints are kept.
    """

    def __init__(self, place: Place, rank: int, *, is_writer: bool, keeping: Keeping) -> None:
        self.id, self.name, self.rank, self.is_writer = place.run_id, place.name, rank, is_writer
        self.config = Said("config", lambda values: self.note("config", values=values))
        """What the run is configured with; set keys as in a dict."""
        self.summary = Said("summary", lambda values: self.note("summary", values=values))
        """What it came to."""
        self.is_outside, self.is_finished = place.is_outside, False
        self._place, self._process = place, os.getpid()
        self._spool = Spool(place.spool, rank, is_synced=place.is_outside)
        self._checkpoints = Checkpoints(
            place.checkpoints,
            keeping=keeping,
            config=lambda: dict(self.config),
            on_saved=self._note_saved,
            on_removed=lambda name: self.note("checkpoint_removed", name=name),
        )
        self._stopping = Stopping(is_saver=rank == 0)
        self._is_checked = False  # whether a checkpoint is one that rank 0 may take at any step
        self._gpu = GpuValues()
        self._last_step = -1
        self._waited = _waited_seconds()
        self._waited_from, self._waited_until = time_ns(), time_ns() + WAIT_NANOSECONDS

    @property
    def folder(self) -> Path:
        """The folder of its spool."""
        return self._place.spool

    @property
    def checkpoint_root(self) -> Path:
        """The folder of its checkpoints; it need not exist yet."""
        return self._place.checkpoints

    @property
    def is_stopping(self) -> bool:
        """Whether SIGTERM has come: the next checkpoint is saved, and ends the script.

        Within a run of a server, `bench stop`, the end of its hours and that of the machine send it. Where
        the script has a handler of its own for it, that has it, and this stays False.
        """
        return self._stopping.look()

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Log values under names. It takes microseconds, and never waits for a GPU, the network or a server.

        Args:
            values: Numbers, tensors and arrays of one value; `Histogram`, `Image`, lists of `Image`,
                `Text`, `Table`.
            step: 0 or more; the one after the last if not given.

        Raises:
            ValueLogError: A value, a name or the step cannot be logged; nothing of the call is.
            TrackError: The run is finished.

        Example:
            run.log({"train/loss": loss, "train/acc": acc}, step=step)
        """
        try:
            names, found = (*values,), (*values.values(),)
        except (AttributeError, TypeError):
            raise ValueLogError(
                f"a {type(values).__name__} cannot be logged", hint="Give a dict: {'train/loss': loss}."
            ) from None
        if step is None:
            step = self.next_step()
        else:
            if type(step) is not int or not 0 <= step <= MAX_STEP:
                step = checked_step(step)
            self._last_step = step
        now = time_ns()
        if PLAIN.issuperset(map(type, found)) and names and self.is_writer and not self._gpu.are_waited_for:
            if self.is_finished:
                raise _finished()
            try:
                self._spool.points(names, found, step, now, _position())
            except (struct.error, OverflowError):  # an integer that no float has
                self._log_any(names, found, step, now)
        else:
            self._log_any(names, found, step, now)
        if now > self._waited_until:
            self._log_wait(step, now)

    def next_step(self) -> int:
        """The step after the last, as `log` takes where none is given; it counts as taken."""
        with self._spool.lock:
            self._last_step += 1
            return self._last_step

    def checkpoint(
        self,
        state: State,
        step: int | None = None,
        *,
        metric: Any = None,
        every: int | None = None,
        builders: Builders | None = None,
    ) -> None:
        """Save a checkpoint, as things are now. A thread writes it; `finish` waits for that.

        Rank 0 saves; the others may call it too, and have to where a module's `state_dict()` takes all of
        them. If SIGTERM has come, this waits for the disk, and ends the script with the code 143.

        Args:
            state: A dict: its tensors are copied to the CPU, which is the pause, and another thread writes
                them; that memory is kept for the next checkpoint. A module, an optimizer or a loader in it
                stands for its `state_dict()`. Or the path of a file or a folder, which is copied.
            step: The step that it was made at; the last that was logged if not given.
            metric: How good the model is: a number, or a tensor of one value; NaN counts as none.
            every: Only at steps that it divides, and at the one that SIGTERM came at; to be called at each.
                Not for what takes all ranks (FSDP, DTensors): the signal reaches them at different steps.
            builders: For a model of `state`: a function and its keyword arguments that make the module.

        Raises:
            CheckpointError: It cannot be made; or the one before could not be written, while this one is.
            ValueLogError: The step is none, or the metric.
            TrackError: The run is finished.

        Example:
            for step in range(first, 10_000):
                run.log({"train/loss": train_step()}, step=step)
                run.checkpoint({"model": model, "optimizer": optimizer}, step=step, every=1000)
        """
        if self.is_finished:
            raise _finished()
        found = max(0, self._last_step) if step is None else checked_step(step)
        if every is not None and (not isinstance(every, int) or every < 1 or metric is not None):
            raise CheckpointError(
                f"every={every!r}, metric={metric!r} cannot be",
                hint="every is an integer, 1 or more; a metric goes with a call of its own.",
            )
        rated = None if metric is None else number("metric", metric)
        if every is not None and not self._is_checked and isinstance(state, Mapping):
            check_alone(state)
            self._is_checked = True
        self._stopping.take()
        self._stopping.reach()
        is_due = every is None or (found > 0 and found % every == 0)
        if not is_due and not (self._stopping.has_come and self.rank == 0):
            return
        if self.rank == 0:
            with self._stopping.saving():
                if self._stopping.has_come:  # that the one before failed is no reason not to save this one
                    self._let_checkpoint_finish()
                self._checkpoints.save(state, step=found, metric=rated, builders=builders)
            if self._stopping.has_come:
                self._checkpoints.wait()
                self._stopping.end()
        elif isinstance(state, Mapping):
            state_dicts(state)

    def resume(self) -> Resumed | None:
        """The state of the newest whole checkpoint, compared with its digests; None: there is none.

        An attempt of a run goes on from what those before it have saved. Tensors are on the CPU. Steps that
        are not given follow that of the checkpoint. What is torn or damaged is passed over, with a warning.

        Raises:
            CheckpointError: It is whole, and cannot be loaded all the same: a class is gone, or torch is.

        Example:
            if state := run.resume():
                model.load_state_dict(state["model"])
            for step in range(state.step + 1 if state else 0, 10_000):
                ...
        """
        resumed = self._checkpoints.resume()
        if resumed is not None:
            self._last_step = resumed.step
        return resumed

    def note(self, kind: str, /, **fields: Any) -> None:
        """Say something of the run; docs/tracking.md has the kinds of notes.

        Args:
            kind: Which.
            fields: What JSON has not is a text.

        Raises:
            ValueLogError: They have more than 1 MiB as JSON.
        """
        found = checked(f"a note about the {kind}", fields)
        if self.is_writer:
            self._spool.note(kind, found)

    def finish(
        self, *, state: str = "succeeded", exit_code: int | None = None, message: str | None = None
    ) -> None:
        """End the run, when its last checkpoint is on the disk; the end of the script does it too.

        In a run of a server, only what is logged ends.

        Args:
            state: `succeeded`, `failed` or `stopped`.
            exit_code: Of the script.
            message: Why.

        Raises:
            ValueLogError: The state is another.
        """
        if state not in ("succeeded", "failed", "stopped"):
            raise ValueLogError(
                f"a run does not end as {state!r}", hint="It is succeeded, failed or stopped."
            )
        if self.is_finished:
            return
        self._let_checkpoint_finish()
        self._checkpoints.free_memory()
        self._gpu.drain()
        self.is_finished = True
        self._stopping.leave()
        self._spool.close()
        if self.is_writer and self._process == os.getpid():  # not in a forked child
            self._place.end(state, exit_code, message)

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
        else:
            state, code, message = end_of(error)
            self.finish(state=state, exit_code=code, message=message)

    def keep(self, keeping: Keeping) -> None:
        """From now on keep these checkpoints."""
        self._checkpoints.keeping = keeping

    def _let_checkpoint_finish(self) -> None:
        try:
            self._checkpoints.wait()
        except CheckpointError as error:
            print(f"bench_track: {error.message}", file=sys.stderr)

    def _note_saved(self, checkpoint: Checkpoint, is_best: bool) -> None:
        self.note(
            "checkpoint",
            name=checkpoint.name,
            path=str(checkpoint.folder),
            step=checkpoint.step,
            metric=checkpoint.metric,
            best=is_best,
            bytes=checkpoint.size_bytes,
            files=len(checkpoint.files),
        )

    def _log_any(self, names: tuple[str, ...], found: tuple[Any, ...], step: int, now: int) -> None:
        """Any values, checked before anything is written."""
        if self.is_finished:
            raise _finished()
        series: list[str] = []
        values: list[Any] = []
        on_gpu: list[int] = []
        media: list[tuple[dict[str, Any], bytes]] = []
        for name, value in zip(names, found, strict=True):
            if isinstance(value, (*MEDIA, list, tuple)):
                media += media_of(name, value)
                continue
            if is_on_gpu(value):
                on_gpu.append(len(values))
                values.append(value)
            else:
                values.append(number(name, value))
            series.append(name)
        if not self.is_writer:
            return
        position, key = _position(), tuple(series)

        def write(arrived: list[float] | None) -> None:
            for place, value in zip(on_gpu, arrived or (), strict=False):
                values[place] = value
            if arrived is None:
                self._spool.dropped += len(values)
            elif values:
                self._spool.points(key, tuple(values), step, now, position)
            for header, content in media:
                self._spool.media(header, content, step, now)

        if on_gpu or self._gpu.are_waited_for:
            check_names(key)
            self._gpu.take([values[place] for place in on_gpu], write)
        else:
            write([])

    def _log_wait(self, step: int, now: int) -> None:
        """How much of the time since the last such point loaders of bench_data were waited for."""
        waited, self._waited = self._waited, _waited_seconds()
        passed, self._waited_from = now - self._waited_from, now
        self._waited_until = now + WAIT_NANOSECONDS
        if self.is_writer and "bench_data.latest_batch" in _modules:
            share = 100e9 * (self._waited - waited) / passed
            self._log_any((WAIT_SERIES,), (min(100.0, share),), step, now)


def end_of(error: BaseException) -> tuple[str, int | None, str | None]:
    """State, exit code and message of a script that an exception ends."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped", 130, None
    if isinstance(error, SystemExit) and error.code == EXIT_CODE:
        return "stopped", EXIT_CODE, None
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        message = error.code if isinstance(error.code, str) else None
        return "succeeded" if code == 0 else "failed", code, message
    return "failed", 1, f"{type(error).__name__}: {error}"


def _position() -> Position:
    module = _modules.get("bench_data.latest_batch")
    return UNKNOWN if module is None else module.latest_batch.position


def _waited_seconds() -> float:
    module = _modules.get("bench_data.latest_batch")
    return 0.0 if module is None else float(module.latest_batch.waited_seconds)


def _finished() -> TrackError:
    return TrackError(
        "the run is finished", hint="Log before run.finish(), or call bench_track.init() again."
    )
