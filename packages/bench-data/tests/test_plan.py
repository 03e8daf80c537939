"""Which chunks a write keeps, which it writes again, and what is in the new ones."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
from bench_data import WriteOptions
from bench_data.order import derive_key
from bench_data.plan import Block, Kept, OldSegment, Plan, Selection, match, plan_new, plan_update
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

MIB = 1 << 20
quick = settings(max_examples=60)
SOURCE_ORDER = WriteOptions(order="source")
OPTIONS = st.builds(
    WriteOptions,
    chunk_bytes=st.integers(1 << 10, 64 << 20),
    order=st.sampled_from(["source", "shuffled"]),
    seed=st.integers(0, 2**64 - 1),
)


@dataclass(frozen=True)
class Sample:
    """What a source has at an index: a name, and a version of its content."""

    name: int
    version: int = 0


Chunk = tuple[Sample, ...]
Stored = list[list[Chunk]]
"""A dataset: its segments, as the samples in their chunks."""


def digests(samples: Sequence[Sample]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Source keys and source digests."""
    texts = [(f"{sample.name}", f"{sample.name} {sample.version}") for sample in samples]
    found = [[blake3(text.encode()).digest(16) for text in pair] for pair in texts]
    return tuple(  # type: ignore[return-value]
        np.frombuffer(b"".join(pair[part] for pair in found), np.uint8).reshape(-1, 16) for part in (0, 1)
    )


def written(block: Block, source: Sequence[Sample], per_chunk: int) -> list[Chunk]:
    """The chunks that a worker makes of a block."""
    samples = iter([source[index] for index in block.indices().tolist()])
    return list(iter(lambda: tuple(islice(samples, per_chunk)), ()))


def new_version(plan: Plan, old: Stored, source: Sequence[Sample], per_chunk: int) -> Stored:
    """The dataset that a plan makes."""
    return [
        [
            chunk
            for part in parts
            for chunk in (
                old[part.segment][part.first : part.last]
                if isinstance(part, Kept)
                else written(part, source, per_chunk)
            )
        ]
        for parts in plan.segments
    ]


def update(old: Stored, source: Sequence[Sample], sample_bytes: float, options: WriteOptions) -> Plan:
    """The plan that brings a dataset up to date with its source."""
    stored = [sample for segment in old for chunk in segment for sample in chunk]
    now, changed, new = match(digests(stored), digests(source))
    segments, start = [], 0
    for segment in old:
        lengths = np.array([len(chunk) for chunk in segment])
        here = slice(start, start + int(lengths.sum()))
        segments.append(OldSegment(lengths, now[here], changed[here]))
        start = here.stop
    return plan_update(segments, new, sample_bytes, options)


def everything(stored: Stored) -> Counter[Sample]:
    return Counter(sample for segment in stored for chunk in segment for sample in chunk)


def chunks_of(stored: Stored) -> list[Chunk]:
    return [chunk for segment in stored for chunk in segment]


@quick
@given(st.integers(1, 500), st.floats(1, 1e9), OPTIONS)
def test_every_sample_is_in_one_block_of_a_new_plan(
    count: int, sample_bytes: float, options: WriteOptions
) -> None:
    plan = plan_new(count, sample_bytes, options)
    indices = [index for block in plan.blocks for index in block.indices().tolist()]
    assert sorted(indices) == list(range(count))
    assert plan.segments == [list(plan.blocks)]
    assert [block.number for block in plan.blocks] == list(range(len(plan.blocks)))
    assert all(block.start < block.stop for block in plan.blocks)
    if options.order == "source":
        assert indices == list(range(count))


@quick
@given(st.integers(1, 500), st.floats(1, 1e9), OPTIONS)
def test_a_block_of_several_samples_fits_into_one_chunk(
    count: int, sample_bytes: float, options: WriteOptions
) -> None:
    sizes = [block.stop - block.start for block in plan_new(count, sample_bytes, options).blocks]
    assert max(sizes) - min(sizes) <= 1
    assert (min(sizes) - 1) * sample_bytes < options.chunk_bytes
    assert max(sizes) == 1 or (max(sizes) - 1) * sample_bytes <= 0.9 * options.chunk_bytes


@pytest.mark.parametrize(
    ("count", "sample_bytes", "chunk_bytes", "blocks"),
    [
        (1, 1.0, 64 * MIB, 1),
        (10, 1e9, 64 * MIB, 10),  # each has a chunk of its own
        (31, 1.0 * MIB, 64 * MIB, 1),
        (200_000, 1.0, 64 * MIB, 1),  # not worth a second worker
        (1_000_000, 1.0, 64 * MIB, 4),  # what is kept of so many samples must fit into memory
        (6400, 12.5e3, 64 * MIB, 10),
        (20_000, 68e3, 64 * MIB, 32),
        (1_000_000, 68e3, 64 * MIB, 1126),
        (1000, 1024.0, 1 << 20, 2),
    ],
)
def test_a_new_dataset_is_cut_into_so_many_blocks(
    count: int, sample_bytes: float, chunk_bytes: int, blocks: int
) -> None:
    plan = plan_new(count, sample_bytes, WriteOptions(chunk_bytes=chunk_bytes))
    assert len(plan.blocks) == blocks


def test_the_order_of_storage_follows_from_seed_and_count() -> None:
    def stored(count: int, seed: int) -> list[int]:
        plan = plan_new(count, 100.0, WriteOptions(chunk_bytes=1 << 10, seed=seed))
        return [index for block in plan.blocks for index in block.indices().tolist()]

    assert stored(500, 1) == stored(500, 1)
    assert len({tuple(stored(500, seed)) for seed in range(20)}) == 20
    assert stored(501, 1)[:100] != stored(500, 1)[:100]


def test_shuffled_blocks_are_cut_from_the_permutation_of_order_md() -> None:
    plan = plan_new(6000, 200.0, WriteOptions(chunk_bytes=100_000, seed=7))
    assert {block.selection.key for block in plan.blocks} == {derive_key("segment", 7, 0, 6000)}


EDITS = ["keep", "edit", "remove"]


@st.composite
def changed_sources(draw: st.DrawFn) -> tuple[Stored, list[Sample]]:
    """A dataset of several segments, and a source in which samples are edited, gone, new and moved."""
    sizes = draw(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=6), min_size=1, max_size=3))
    names = st.integers(0, 30)  # a name may be there more than once
    stored: Stored = [
        [tuple(draw(st.builds(Sample, names)) for _ in range(size)) for size in segment] for segment in sizes
    ]
    source = []
    for chunk in chunks_of(stored):
        edits = draw(st.lists(st.sampled_from(EDITS), min_size=len(chunk), max_size=len(chunk)))
        fates = edits if draw(st.booleans()) else ["keep"] * len(chunk)
        source += [
            replace(sample, version=int(fate == "edit"))
            for sample, fate in zip(chunk, fates, strict=True)
            if fate != "remove"
        ]
    source += draw(st.lists(st.builds(Sample, st.integers(0, 60), st.integers(0, 2)), max_size=20))
    return stored, draw(st.permutations(source or [Sample(99)]))


@quick
@given(changed_sources(), st.floats(1, 1e4), OPTIONS, st.integers(1, 6))
def test_an_update_stores_every_sample_of_the_source_once(
    change: tuple[Stored, list[Sample]], sample_bytes: float, options: WriteOptions, per_chunk: int
) -> None:
    old, source = change
    plan = update(old, source, sample_bytes, options)
    assert everything(new_version(plan, old, source, per_chunk)) == Counter(source)
    parts = [part for parts in plan.segments for part in parts]
    assert all(plan.segments)
    assert [part for part in parts if isinstance(part, Block)] == list(plan.blocks)
    assert [block.number for block in plan.blocks] == list(range(len(plan.blocks)))


def places(plan: Plan) -> list[tuple[int, int]]:
    """The old segment and number of each chunk that is kept."""
    parts = [part for parts in plan.segments for part in parts if isinstance(part, Kept)]
    return [(part.segment, number) for part in parts for number in range(part.first, part.last)]


@quick
@given(changed_sources(), OPTIONS)
def test_an_update_keeps_a_chunk_whose_samples_are_all_in_the_source(
    change: tuple[Stored, list[Sample]], options: WriteOptions
) -> None:
    old, source = change
    plan = update(old, source, 100.0, options)
    left = Counter(source)

    def taken(sample: Sample) -> bool:
        left[sample] -= 1
        return left[sample] >= 0

    expected = []
    for segment, chunks in enumerate(old):
        for number, chunk in enumerate(chunks):
            there = [taken(sample) for sample in chunk]
            expected += [(segment, number)] if all(there) else []
    assert places(plan) == expected


@quick
@given(changed_sources(), OPTIONS)
def test_a_second_update_has_nothing_to_do(
    change: tuple[Stored, list[Sample]], options: WriteOptions
) -> None:
    old, source = change
    new = new_version(update(old, source, 100.0, options), old, source, 3)
    again = update(new, source[::-1], 100.0, options)
    assert not again.blocks
    assert new_version(again, new, source[::-1], 1) == new


def dataset(count: int, per_chunk: int) -> Stored:
    samples = [Sample(number) for number in range(count)]
    return [[tuple(samples[at : at + per_chunk]) for at in range(0, count, per_chunk)]]


@quick
@given(st.integers(0, 200), st.integers(1, 10), st.sampled_from(["source", "shuffled"]))
def test_inserted_samples_cost_one_block_wherever_they_are(place: int, added: int, order: Any) -> None:
    old = dataset(200, 7)
    source = [Sample(number) for number in range(200)]
    source[place:place] = [Sample(1000 + number) for number in range(added)]
    plan = update(old, source, 6e6, WriteOptions(order=order))
    assert len(plan.blocks) == 1
    assert plan.segments == [[Kept(0, 0, 29)], [plan.blocks[0]]]
    assert sorted(plan.blocks[0].indices().tolist()) == list(range(place, place + added))


Change = Callable[[list[Sample]], None]


def _edit(number: int) -> Change:
    return lambda source: source.__setitem__(number, Sample(number, 1))


def _remove(first: int, stop: int) -> Change:
    return lambda source: source.__delitem__(slice(first, stop))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_edit(0), [(0, [0, 1, 2, 3, 4]), Kept(0, 1, 4)]),
        (_edit(7), [Kept(0, 0, 1), (0, [5, 6, 7, 8, 9]), Kept(0, 2, 4)]),
        (_edit(19), [Kept(0, 0, 3), (0, [15, 16, 17, 18, 19])]),
        (_remove(12, 13), [Kept(0, 0, 2), (0, [10, 11, 12, 13]), Kept(0, 3, 4)]),
        (_remove(8, 12), [Kept(0, 0, 1), (0, [5, 6, 7]), (1, [8, 9, 10]), Kept(0, 3, 4)]),
        (_remove(5, 10), [Kept(0, 0, 1), Kept(0, 2, 4)]),
        (_remove(0, 5), [Kept(0, 1, 4)]),
        (_remove(15, 20), [Kept(0, 0, 3)]),
        (list.reverse, [Kept(0, 0, 4)]),
    ],
)
def test_only_the_chunks_of_edited_and_removed_samples_are_written_again(
    change: Change, expected: list[Any]
) -> None:
    source = [Sample(number) for number in range(20)]
    change(source)
    plan = update(dataset(20, 5), source, 100.0, WriteOptions(order="source"))
    (parts,) = plan.segments
    found = [part if isinstance(part, Kept) else (part.number, part.indices().tolist()) for part in parts]
    assert found == expected


def test_a_segment_of_which_nothing_is_left_is_left_out() -> None:
    old: Stored = [*dataset(10, 5), [(Sample(100), Sample(101))], [(Sample(200),)]]
    source = [Sample(number) for number in range(10)] + [Sample(200), Sample(300)]
    plan = update(old, source, 100.0, SOURCE_ORDER)
    assert plan.segments == [[Kept(0, 0, 2)], [Kept(2, 0, 1)], list(plan.blocks)]
    assert plan.blocks[0].indices().tolist() == [11]


def test_match_tells_equal_samples_apart_by_their_order() -> None:
    twice = [Sample(1), Sample(2), Sample(1), Sample(1)]
    now, changed, new = match(digests(twice), digests([Sample(1), Sample(1), Sample(3)]))
    assert (now.tolist(), changed.tolist(), new.tolist()) == ([0, -1, 1, -1], [False] * 4, [2])


def test_match_prefers_the_unchanged_one_of_two_samples_of_one_name() -> None:
    old, source = [Sample(1), Sample(1, 5)], [Sample(1, 5), Sample(1, 6)]
    now, changed, new = match(digests(old), digests(source))
    assert (now.tolist(), changed.tolist(), new.tolist()) == ([1, 0], [True, False], [])


def as_format_md_says(plan: Plan, previous: str | None, options: dict[str, Any]) -> str:
    """The plan's name, section 7."""
    head = {"options": options, "previous": previous, "version": 1}
    data = json.dumps(head, sort_keys=True, separators=(",", ":")).encode()
    for block in plan.blocks:
        numbers = [block.number, block.start, block.stop, block.selection.count]
        data += b"".join(number.to_bytes(8, "little", signed=True) for number in numbers)
        data += block.selection.key or b""
        if block.selection.base is not None:
            here = block.selection.base[block.start : block.stop].tolist()
            data += b"".join(number.to_bytes(8, "little") for number in here)
    return blake3(data).hexdigest()[:16]


@pytest.mark.parametrize("order", ["source", "shuffled"])
def test_a_plan_has_the_name_that_format_md_says(order: Any) -> None:
    options = WriteOptions(chunk_bytes=2000, order=order, seed=5)
    layout = {"chunk_bytes": 2000, "order": order, "seed": 5}
    new = plan_new(100, 100.0, options)
    assert len(new.blocks) > 1
    assert new.digest(None, options) == as_format_md_says(new, None, layout)
    source = [Sample(number) for number in range(1, 50)]
    later = update(dataset(20, 5), source, 100.0, options)
    assert len(later.blocks) > 2
    assert later.digest("ab" * 32, options) == as_format_md_says(later, "ab" * 32, layout)


def test_a_plan_has_another_name_if_anything_differs_that_decides_the_bytes() -> None:
    def name(previous: str | None = None, indices: Sequence[int] = (0, 1, 2), **changed: Any) -> str:
        block = {"number": 0, "start": 0, "stop": 2, "count": 3, "key": None} | changed
        options = WriteOptions(**{key: block.pop(key) for key in list(block) if key in LAYOUT})
        selection = Selection(block["count"], np.array(indices), block["key"])
        blocks = [Block(block["number"], selection, block["start"], block["stop"])]
        return Plan([blocks], blocks).digest(previous, options)

    names = [
        name(),
        name("ab" * 32),
        name("cd" * 32),
        name(indices=[0, 2, 1]),
        name(number=1),
        name(start=1),
        name(stop=3),
        name(count=4),
        name(key=derive_key("segment", 0, 0, 3)),
        name(key=derive_key("segment", 1, 0, 3)),
        name(chunk_bytes=5000),
        name(order="source"),
        name(seed=1),
    ]
    assert len(set(names)) == len(names)
    assert all(len(bytes.fromhex(found)) == 8 for found in names)


LAYOUT = ("chunk_bytes", "order", "seed")


def test_a_plan_keeps_its_name_whatever_does_not_decide_the_bytes() -> None:
    plan = plan_new(100, 100.0, WriteOptions())
    others = [WriteOptions(workers=3), WriteOptions(durable=False), WriteOptions(source_version="7")]
    assert {plan.digest(None, options) for options in others} == {plan.digest(None, WriteOptions())}
