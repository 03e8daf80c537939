"""Options: their defaults, and which values cannot be."""

import dataclasses
from typing import Any

import numpy as np
import process_tools
import pytest
from bench_data import WriteOptions
from bench_data.errors import OptionsError


def test_the_defaults_are_those_of_the_readme() -> None:
    assert dataclasses.asdict(WriteOptions()) == {
        "workers": None,
        "chunk_bytes": 64 << 20,
        "order": "shuffled",
        "seed": 0,
        "durable": True,
        "source_version": None,
    }


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("workers", 0, "workers is 0, and must be 1 to 4096"),
        ("workers", -1, "workers is -1, and must be 1 to 4096"),
        ("workers", 4097, "workers is 4097, and must be 1 to 4096"),
        ("chunk_bytes", 0, "chunk_bytes is 0, and must be 1 KiB to 1 TiB, whole"),
        ("chunk_bytes", 1023, "chunk_bytes is 1023, and must be 1 KiB to 1 TiB, whole"),
        ("chunk_bytes", (1 << 40) + 1, "chunk_bytes is 1099511627777, and must be 1 KiB to 1 TiB, whole"),
        ("order", "random", "order is 'random', and must be 'shuffled' or 'source'"),
        ("order", None, "order is None, and must be 'shuffled' or 'source'"),
        ("seed", -1, "seed is -1, and must be 0 to 2**64 - 1"),
        ("seed", 1 << 64, "seed is 18446744073709551616, and must be 0 to 2**64 - 1"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_what_can(name: str, value: Any, message: str) -> None:
    with pytest.raises(OptionsError) as caught:
        WriteOptions(**{name: value})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers", 1),
        ("workers", 4096),
        ("chunk_bytes", 1024),
        ("chunk_bytes", 1 << 40),
        ("order", "source"),
        ("seed", (1 << 64) - 1),
        ("source_version", ""),
    ],
)
def test_the_outermost_values_are_taken(name: str, value: Any) -> None:
    assert getattr(WriteOptions(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers", "2"),
        ("workers", 2.5),
        ("chunk_bytes", "64MB"),
        ("chunk_bytes", 1e6),
        ("seed", 0.5),
        ("seed", None),
        ("source_version", 3),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: Any) -> None:
    with pytest.raises(OptionsError, match=f"^{name} is {value!r}, and must be "):
        WriteOptions(**{name: value})


def test_numbers_of_numpy_are_taken_as_numbers() -> None:
    options = WriteOptions(workers=np.int8(2), chunk_bytes=np.uint32(5000), seed=np.int64(3))  # type: ignore[arg-type]
    assert [type(value) for value in (options.workers, options.chunk_bytes, options.seed)] == [int] * 3
    assert options == WriteOptions(workers=2, chunk_bytes=5000, seed=3)


def test_options_are_given_by_name_and_stay_as_they_are() -> None:
    with pytest.raises(TypeError):
        WriteOptions(2)  # type: ignore[call-arg]
    with pytest.raises(dataclasses.FrozenInstanceError):
        WriteOptions().seed = 1  # type: ignore[misc]


ONE_CPU = """
import os
from bench_data.options import usable_cpus
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(usable_cpus())
else:
    print(usable_cpus() - os.cpu_count() + 1)
"""


def test_the_usable_cpus_are_those_that_a_process_may_use() -> None:
    assert process_tools.run(ONE_CPU) == "1\n"
