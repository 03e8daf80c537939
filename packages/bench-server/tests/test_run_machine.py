"""Who gets what of the machine."""

from bench_server.runs.machine import Grant, Machine, Wish, give, never, share

BOX = Machine(cpu_millis=16_000, memory_bytes=128_000_000_000, gpus=("a", "b", "c", "d"))


def test_a_run_without_wishes_gets_the_machine() -> None:
    assert give(BOX, [], Wish()) == Grant(cpu_millis=16_000, memory_bytes=128_000_000_000)


def test_who_asks_for_gpus_gets_their_share_of_the_rest() -> None:
    assert share(BOX, Wish(gpu_count=1)) == Wish(cpu_millis=4_000, memory_bytes=32_000_000_000, gpu_count=1)
    first = give(BOX, [], Wish(gpu_count=1))
    assert first == Grant(cpu_millis=4_000, memory_bytes=32_000_000_000, gpus=("a",))
    assert give(BOX, [first], Wish(gpu_count=3)) == Grant(
        cpu_millis=12_000, memory_bytes=96_000_000_000, gpus=("b", "c", "d")
    )


def test_what_is_taken_is_waited_for() -> None:
    taken = [Grant(cpu_millis=12_000, memory_bytes=100_000_000_000, gpus=("a", "b"))]
    assert give(BOX, taken, Wish(gpu_count=3)) == "waits for 3 GPUs: 2 are free"
    everything = [Grant(cpu_millis=1, memory_bytes=1, gpus=BOX.gpus)]
    assert give(BOX, everything, Wish(gpu_count=1)) == "waits for 1 GPU: none is free"
    assert give(BOX, taken, Wish(cpu_millis=8_000, memory_bytes=1)) == "waits for 8 CPUs: 4 are free"
    assert (
        give(BOX, taken, Wish(cpu_millis=1_000, memory_bytes=64_000_000_000))
        == "waits for 64.0 GB of memory: 28.0 GB are free"
    )


def test_a_gpu_that_somebody_else_uses_is_not_given() -> None:
    machine = Machine(cpu_millis=1_000, memory_bytes=1_000, gpus=("a", "b"), foreign_gpus=frozenset({"a"}))
    given = give(machine, [], Wish(gpu_count=1))
    assert isinstance(given, Grant)
    assert given.gpus == ("b",)
    assert give(machine, [], Wish(gpu_count=2)) == (
        "waits for 2 GPUs: 1 is free; 1 is used by processes outside of Bench"
    )


def test_a_gpu_of_a_run_is_not_foreign() -> None:
    machine = Machine(cpu_millis=2_000, memory_bytes=2_000, gpus=("a", "b"), foreign_gpus=frozenset({"a"}))
    taken = [Grant(cpu_millis=1_000, memory_bytes=1_000, gpus=("a",))]
    assert give(machine, taken, Wish(gpu_count=2)) == "waits for 2 GPUs: 1 is free"


def test_what_can_never_be_is_said() -> None:
    assert never(BOX, Wish(gpu_count=4)) == ""
    assert never(BOX, Wish(gpu_count=5)) == "5 GPUs are asked for, and this machine has 4"
    bare = Machine(cpu_millis=1_000, memory_bytes=1_000, gpu_problem="nvidia-smi lists no GPU")
    assert never(bare, Wish(gpu_count=1)) == (
        "1 GPU is asked for, and this machine has none: nvidia-smi lists no GPU"
    )
    assert never(BOX, Wish(cpu_millis=17_000)) == "17 CPUs are asked for, and this machine has 16"
    assert never(BOX, Wish(memory_bytes=10**12)).startswith("1000.0 GB of memory are asked for")
