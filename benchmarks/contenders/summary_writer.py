"""TensorBoard's SummaryWriter, as PyTorch has it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator
from torch.utils.tensorboard import SummaryWriter


class Logged:
    """A folder of events."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer = SummaryWriter(str(folder))

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def stored(self) -> int:
        self._writer.close()
        events = EventAccumulator(str(self._folder), size_guidance={SCALARS: 0})  # 0: all of them
        events.Reload()
        return sum(len(events.Scalars(name)) for name in events.Tags()[SCALARS])


@contextmanager
def open_log(scratch: Path) -> Iterator[Logged]:
    yield Logged(scratch / "events")
