"""What the loaders of this process yielded last, for whoever notes it beside a step. Without torch."""

from dataclasses import dataclass

from bench_data.batch_order import BatchOrder


@dataclass
class LatestBatch:
    """What the loaders of this process yielded last, and how long they made it wait.

    Args:
        position: (order, epoch, batch) in one tuple, so that another thread reads what belongs together. The
            order is None where no `batch_samples` could tell the samples: a part that no `split` made.
        waited_seconds: How long all loaders together were waited for.
    """

    position: tuple[BatchOrder | None, int, int] = (None, 0, 0)
    waited_seconds: float = 0.0


latest_batch = LatestBatch()
