"""A tracker for Hugging Face's Accelerate."""

from collections.abc import Mapping, Sequence
from typing import Any

from accelerate.tracking import GeneralTracker, on_main_process

from bench_track.held_run import HeldRun
from bench_track.leniency import log_what_can_be
from bench_track.run import Run


class BenchTracker(GeneralTracker):  # type: ignore[misc]  # Accelerate has no types
    """Logs what an Accelerator logs to a run; only the main process does.

    Args:
        run_name: What Accelerate calls the project that several runs belong to: the run's group.
        tags: Words to find it by.
        project: The project's id, outside of a server's runs.
        run: The run; unless given, the one that goes on, else a new one, which `end_training` ends.

    Example:
        accelerator = Accelerator(log_with=BenchTracker("catdog"))
        accelerator.init_trackers("catdog", config={"lr": 3e-4})
        accelerator.log({"train/loss": loss}, step=step)
        accelerator.end_training()
    """

    name = "bench"
    requires_logging_directory = False
    main_process_only = True

    def __init__(
        self,
        run_name: str | None = None,
        *,
        tags: Sequence[str] = (),
        project: str | None = None,
        run: Run | None = None,
    ) -> None:
        super().__init__()
        self._held = HeldRun(group=run_name, tags=tags, project=project, rank=0, run=run)
        self._run: Run | None = None

    @property
    def tracker(self) -> Run | None:
        """The `bench_track.Run`, from `init_trackers` on; None in other processes than the main one."""
        return self._run

    @on_main_process  # type: ignore[untyped-decorator]
    def start(self) -> None:
        """Take up the run; `init_trackers` calls it.

        Raises:
            TrackError: The run's folder cannot be made.
        """
        self._run = self._held.run

    @on_main_process  # type: ignore[untyped-decorator]
    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """Say what the run is configured with.

        Args:
            values: What JSON has not is a text.
        """
        self._held.run.config.update(values)

    @on_main_process  # type: ignore[untyped-decorator]
    def log(self, values: Mapping[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Log values: numbers, tensors of one value, texts, what `bench_track.Run.log` takes, and mappings.

        Args:
            values: Under their names. What cannot be logged is left out with a warning.
            step: The step; the one after the last if not given.
            kwargs: What trackers of other kinds take.

        Raises:
            ValueLogError: The step is none.
        """
        log_what_can_be(self._held.run, values, step)

    @on_main_process  # type: ignore[untyped-decorator]
    def finish(self) -> None:
        """End the run, if it was begun here: as failed where an exception is under way."""
        self._held.end()
