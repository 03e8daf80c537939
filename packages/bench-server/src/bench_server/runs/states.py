"""The states of an attempt, which may follow which, and the reasons for every end.

docs/runs.md has them as they are here.

Pure: nothing here touches the database. `services.py` asks `allowed` before it writes a state.
"""

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """How an attempt is; the values are the numbers of the contract."""

    QUEUED = 1
    BUILDING = 2
    STARTING = 3
    RUNNING = 4
    STOPPING = 5
    SUCCEEDED = 6
    FAILED = 7
    STOPPED = 8

    @property
    def has_ended(self) -> bool:
        """Whether nothing follows."""
        return not FOLLOWING[self]


FOLLOWING: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.BUILDING, State.FAILED, State.STOPPED}),
    State.BUILDING: frozenset({State.STARTING, State.FAILED, State.STOPPED}),
    State.STARTING: frozenset({State.RUNNING, State.STOPPING, State.SUCCEEDED, State.FAILED, State.STOPPED}),
    State.RUNNING: frozenset({State.STOPPING, State.SUCCEEDED, State.FAILED, State.STOPPED}),
    State.STOPPING: frozenset({State.SUCCEEDED, State.FAILED, State.STOPPED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.STOPPED: frozenset(),
}
"""The transitions that are allowed."""

EXTERNAL = "external"
"""The engine of runs that were started elsewhere."""

FOLLOWING_EXTERNAL: dict[State, frozenset[State]] = {
    State.RUNNING: frozenset({State.SUCCEEDED, State.FAILED, State.STOPPED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset({State.RUNNING}),
    State.STOPPED: frozenset(),
}
"""Of those: they begin as RUNNING, and one that FAILED because it was `lost` may be heard of again."""

MEANING: dict[State, str] = {
    State.QUEUED: "waits for its turn; what for is said",
    State.BUILDING: "the runner has it; its image is made",
    State.STARTING: "its folder is ready, and its container is being made",
    State.RUNNING: "the training runs",
    State.STOPPING: "a stop was recorded, and SIGTERM sent",
    State.SUCCEEDED: "the training returned 0",
    State.FAILED: "it ended otherwise",
    State.STOPPED: "it ended because somebody had asked for it, or its time was over",
}


def allowed(before: State, after: State) -> bool:
    """Whether a state may follow another."""
    return after in FOLLOWING[before]


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why an attempt ended.

    Args:
        state: The end that it belongs to.
        meaning: For people.
        is_retried: Whether `--retry` starts another attempt: never where the training itself failed, or
            somebody stopped it.
    """

    state: State
    meaning: str
    is_retried: bool = False


REASONS: dict[str, Reason] = {
    "succeeded": Reason(state=State.SUCCEEDED, meaning="the training returned 0"),
    "failed_exit": Reason(state=State.FAILED, meaning="the training returned another exit code"),
    "failed_signal": Reason(state=State.FAILED, meaning="a signal ended the training"),
    "command_missing": Reason(state=State.FAILED, meaning="the command could not be started"),
    "out_of_memory": Reason(
        state=State.FAILED, meaning="the kernel killed it: it wanted more memory than it had"
    ),
    "disk_full": Reason(
        state=State.FAILED, meaning="it failed, and its disk had no room left", is_retried=True
    ),
    "image_failed": Reason(state=State.FAILED, meaning="its image could not be made; the build log says why"),
    "start_failed": Reason(
        state=State.FAILED, meaning="the engine would not start the container", is_retried=True
    ),
    "gpu_lost": Reason(state=State.FAILED, meaning="a GPU that it had is gone", is_retried=True),
    "killed": Reason(
        state=State.FAILED, meaning="its container was killed from outside of Bench", is_retried=True
    ),
    "lost": Reason(state=State.FAILED, meaning="it is gone, and left no word of its end", is_retried=True),
    "engine_restarted": Reason(state=State.FAILED, meaning="the engine went down under it", is_retried=True),
    "host_restarted": Reason(
        state=State.FAILED, meaning="the machine was started anew under it", is_retried=True
    ),
    "stopped": Reason(state=State.STOPPED, meaning="somebody stopped it; who is recorded"),
    "max_hours": Reason(state=State.STOPPED, meaning="it ran as long as it may"),
}
"""Every reason code."""

EXTERNAL_REASONS = ("succeeded", "failed_exit", "failed_signal", "stopped", "lost")
"""Those that runs which were started elsewhere may end with."""
