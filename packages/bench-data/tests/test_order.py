"""The order is a specification: these are the vectors of ORDER.md, and what makes it a shuffle."""

from collections import Counter

import numpy as np
import pytest
from bench_data.order import ExactOrder, Share, SourceOrder, WindowOrder, derive_key, permute
from bench_data.split import split_positions
from hypothesis import given
from hypothesis import strategies as st

ZEROS = "0" * 64
KEY = derive_key("exact", ZEROS, 0, 0)


@pytest.mark.parametrize(
    ("purpose", "fields", "beginning"),
    [
        ("exact", (ZEROS, 0, 0), "008fdf1d42e42a268afb0da743a23eed"),
        ("chunks", (ZEROS, 0, 0), "26013060dffd1220"),
        ("group", (ZEROS, 0, 0, 0), "2ccb78fd193b8e59"),
        ("split", (0,), "688d6fc55b6cb7e89921e54316261599"),
    ],
)
def test_keys_are_those_of_the_specification(
    purpose: str, fields: tuple[str | int, ...], beginning: str
) -> None:
    key = derive_key(purpose, *fields)
    assert len(key) == 64
    assert key.hex().startswith(beginning)


@pytest.mark.parametrize(
    ("n", "positions", "samples"),
    [
        (0, [], []),
        (1, [0], [0]),
        (2, [0, 1], [0, 1]),
        (3, [0, 1, 2], [0, 2, 1]),
        (10, range(10), [2, 0, 5, 9, 3, 7, 1, 4, 8, 6]),
        (1000, range(10), [110, 846, 722, 187, 439, 470, 837, 719, 482, 169]),
        (
            2**40,
            [0, 1, 2, 10**9, 2**40 - 1],
            [338654828799, 1040542884872, 565502828628, 142947362896, 106114421272],
        ),
        (2**62, [0, 1, 2], [1806781332065891185, 852113002116567828, 4450301252490182198]),
    ],
)
def test_the_permutation_is_that_of_the_specification(
    n: int, positions: list[int], samples: list[int]
) -> None:
    assert permute(np.array(positions, np.int64), n, KEY).tolist() == samples


def permute_by_the_text(position: int, n: int, key: bytes) -> int:
    """Section 2 of ORDER.md in plain Python integers."""
    words = [int.from_bytes(key[at : at + 8], "little") for at in range(0, 64, 8)]
    bits = max(2, (n - 1).bit_length())
    low = bits // 2
    high = bits - low

    def mix(x: int, k: int, width: int) -> int:
        x = ((x ^ k) * 0x9E3779B97F4A7C15) % 2**64
        x = ((x ^ (x >> 32)) * 0xD1B54A32D192ED03) % 2**64
        return x >> (64 - width)

    while True:
        left, right = position % 2**low, position >> low
        for i in (0, 2, 4, 6):
            right ^= mix(left, words[i], high)
            left ^= mix(right, words[i + 1], low)
        position = right * 2**low + left
        if position < n:
            return position


@given(st.integers(2, 2**62), st.data(), st.binary(min_size=64, max_size=64))
def test_numpy_and_the_text_agree(n: int, data: st.DataObject, key: bytes) -> None:
    positions = data.draw(st.lists(st.integers(0, n - 1), max_size=20))
    expected = [permute_by_the_text(position, n, key) for position in positions]
    assert permute(np.array(positions, np.int64), n, key).tolist() == expected


@given(st.integers(0, 3000), st.integers(0, 2**64 - 1))
def test_it_is_a_permutation(n: int, seed: int) -> None:
    found = permute(np.arange(n), n, derive_key("exact", ZEROS, seed, 0))
    assert found.dtype == np.int64
    assert sorted(found.tolist()) == list(range(n))


def test_orders_of_epochs_and_seeds_have_nothing_in_common() -> None:
    n = 4096
    orders = [permute(np.arange(n), n, derive_key("exact", ZEROS, s, e)) for s in range(8) for e in range(8)]
    for number, one in enumerate(orders):
        for other in orders[:number]:
            # Two independent permutations agree in about one place (Poisson); 12 happens once in 10^9.
            assert (one == other).sum() < 12


def test_every_pair_of_positions_is_as_likely_to_be_in_order() -> None:
    """Over many keys: mean positions, counts and ascents, as in a uniform shuffle."""
    n, keys = 97, 4000
    found = np.stack([permute(np.arange(n), n, derive_key("exact", ZEROS, s, 0)) for s in range(keys)])
    deviation = np.sqrt((n * n - 1) / 12 / keys)
    assert np.abs(found.mean(axis=0) - (n - 1) / 2).max() < 5 * deviation
    counts = np.stack([np.bincount(column, minlength=n) for column in found.T])
    chi_square = ((counts - keys / n) ** 2 / (keys / n)).sum()
    freedom = (n - 1) ** 2
    assert abs(chi_square - freedom) < 5 * np.sqrt(2 * freedom)
    ascents = (np.diff(found, axis=1) > 0).mean()
    assert abs(ascents - 0.5) < 0.005


@pytest.mark.parametrize(("n", "permutations"), [(2, 2), (3, 6), (4, 24), (5, 120)])
def test_small_domains_reach_every_permutation_about_equally(n: int, permutations: int) -> None:
    keys = (derive_key("exact", ZEROS, seed, 0) for seed in range(12_000))
    counts = Counter(tuple(permute(np.arange(n), n, key).tolist()) for key in keys)
    assert len(counts) == permutations
    assert max(counts.values()) < 2 * 12_000 / permutations


def distinct_classes(order: ExactOrder | WindowOrder, classes: int, each: int, batch: int) -> float:
    """The mean number of classes in a batch, where samples are sorted by class."""
    labels = order.samples(np.arange(len(order))) // each
    batches = labels[: len(labels) // batch * batch].reshape(-1, batch)
    return float(np.mean([len(np.unique(b)) for b in batches]))


def test_batches_of_class_sorted_data_are_mixed() -> None:
    """Ideal: k draws of n classes give n (1 - (1 - 1 / n) ** k) distinct ones; 226 here."""
    classes, each, batch, window, chunk = 1000, 100, 256, 16, 1000
    ideal = classes * (1 - (1 - 1 / classes) ** batch)
    assert round(ideal) == 226
    exact = ExactOrder(classes * each, KEY)
    assert abs(distinct_classes(exact, classes, each, batch) - ideal) < 0.5
    starts = np.arange(0, classes * each + 1, chunk)
    in_window = window * chunk // each
    allowed = in_window * (1 - (1 - 1 / in_window) ** batch)
    found = distinct_classes(WindowOrder(starts, window, (ZEROS, 0, 0)), classes, each, batch)
    assert abs(found / allowed - 1) < 0.05


def test_window_order_is_that_of_the_specification() -> None:
    order = WindowOrder(np.array([0, 3, 5, 9, 10]), 2, (ZEROS, 0, 0))
    assert order.samples(np.arange(10)).tolist() == [7, 4, 6, 5, 8, 3, 0, 9, 2, 1]


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=30),
    st.integers(1, 40),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_window_order_is_a_permutation_that_stays_in_its_groups(
    sizes: list[int], window: int, seed: int, epoch: int
) -> None:
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    order = WindowOrder(starts, window, (ZEROS, seed, epoch))
    count = int(starts[-1])
    samples = order.samples(np.arange(count))
    assert len(order) == count
    assert sorted(samples.tolist()) == list(range(count))
    layout = permute(np.arange(len(sizes)), len(sizes), derive_key("chunks", ZEROS, seed, epoch)).tolist()
    at = 0
    for first in range(0, len(layout), window):
        group = layout[first : first + window]
        expected = sorted(s for chunk in group for s in range(starts[chunk], starts[chunk + 1]))
        assert sorted(samples[at : at + len(expected)].tolist()) == expected
        at += len(expected)


@given(st.integers(1, 300), st.integers(0, 5), st.integers(0, 5))
def test_any_positions_can_be_looked_up_alone(count: int, seed: int, epoch: int) -> None:
    starts = np.unique(np.append(np.arange(0, count, 7), count))
    fields = (ZEROS, seed, epoch)
    for order in (
        SourceOrder(count),
        ExactOrder(count, derive_key("exact", *fields)),
        WindowOrder(starts, 3, fields),
    ):
        whole = order.samples(np.arange(count))
        some = np.arange(count)[::-3]
        assert order.samples(some).tolist() == whole[some].tolist()


@given(
    st.integers(1, 200),
    st.integers(1, 9),
    st.integers(1, 6),
    st.integers(0, 200),
    st.sampled_from(["pad", "drop"]),
)
def test_shares_of_all_ranks_make_the_epoch(
    count: int, batch: int, ranks: int, start: int, uneven: str
) -> None:
    start = min(start, count)
    shares = [
        Share(start=start, count=count, batch=batch, rank=r, ranks=ranks, uneven=uneven) for r in range(ranks)
    ]
    steps = len(shares[0])
    assert {len(share) for share in shares} == {steps}
    taken: list[int] = []
    for step in range(steps):
        batches = [share.positions(step).tolist() for share in shares]
        assert len({len(b) for b in batches}) == 1, "no rank waits for another"
        assert 1 <= len(batches[0]) <= batch
        taken += [position for b in batches for position in b]
    left = list(range(start, count))
    if uneven == "drop":
        assert taken == left[: len(left) // (batch * ranks) * batch * ranks]
    else:
        assert taken[: len(left)] == left
        assert len(taken) - len(left) < ranks
        assert taken[len(left) :] == [p % count for p in range(count, count + len(taken) - len(left))]


def test_split_is_that_of_the_specification() -> None:
    keys = np.arange(96, dtype=np.uint8).reshape(6, 16)
    first, second = split_positions(keys, 0.5, 0)
    assert (first.tolist(), second.tolist()) == ([0, 3, 4], [1, 2, 5])
