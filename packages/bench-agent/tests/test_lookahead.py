"""The next use of each chunk, against a walk along the order."""

from typing import Any

import numpy as np
import pytest
from bench_agent.lookahead import NEVER, needed_at_once, next_uses
from bench_data.order import WindowOrder

STARTS = np.array([0, 7, 7, 30, 41, 60, 61, 90, 100], np.int64)


def state(shuffle: Any, position: int, epoch: int = 2) -> dict[str, Any]:
    order = {"fingerprint": "ab", "shuffle": shuffle, "seed": 3, "epoch": epoch, "window_chunks": 3}
    return {**order, "samples_yielded": position}


@pytest.mark.parametrize("position", [0, 1, 25, 60, 99])
def test_the_first_use_in_the_rest_of_the_epoch_is_exact(position: int) -> None:
    order = WindowOrder(STARTS, 3, ("ab", 3, 2))
    rest = order.samples(np.arange(position, 100, dtype=np.int64))
    walked = (STARTS.searchsorted(rest, "right") - 1).tolist()
    uses = next_uses(state("window", position), STARTS)
    for chunk in set(walked):
        assert uses[chunk] == walked.index(chunk)
    assert uses[1] == NEVER  # it has no sample


def test_what_the_epoch_has_used_comes_with_the_next() -> None:
    uses = next_uses(state(False, 95), STARTS)
    assert uses.tolist() == [5, NEVER, 12, 35, 46, 65, 66, 0]


def test_the_next_epochs_windows_follow_in_their_order() -> None:
    first, _ = WindowOrder(STARTS, 3, ("ab", 3, 3)).spans()
    uses = next_uses(state("window", 100), STARTS)
    assert uses[[0, 2, 3, 4, 5, 6, 7]].tolist() == first[[0, 2, 3, 4, 5, 6, 7]].tolist()


def test_spans_hold_the_samples_of_their_chunk() -> None:
    order = WindowOrder(STARTS, 3, ("ab", 3, 2))
    first, behind = order.spans()
    chunks = STARTS.searchsorted(order.samples(np.arange(100, dtype=np.int64)), "right") - 1
    for position, chunk in enumerate(chunks.tolist()):
        assert first[chunk] <= position < behind[chunk]


def test_what_an_order_needs_at_once() -> None:
    sizes = np.array([10, 50, 20, 40, 30], np.int64)
    assert needed_at_once(state("exact", 0), sizes) == 150
    assert needed_at_once(state("window", 0), sizes) == 120
    assert needed_at_once(state(False, 0), sizes) == 140
