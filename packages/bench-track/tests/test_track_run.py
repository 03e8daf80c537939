"""`bench_track.init` and what a run writes, within a run of a server."""

import decimal
import itertools
import math
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bench_track
import numpy as np
import pytest
import torch
from bench_track import Run, TrackError, ValueLogError, records
from spool_reading import notes, points, read


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_TRACK", str(tmp_path / "spool" / "track"))
    monkeypatch.setenv("BENCH_OUTPUT", str(tmp_path / "output"))
    monkeypatch.setenv("BENCH_RUN", "0198c0de-0000-7000-8000-000000000000")
    monkeypatch.setenv("BENCH_RUN_NAME", "calm-otter")
    return tmp_path / "spool" / "track"


@pytest.fixture
def run(spool: Path) -> Iterator[Run]:
    with bench_track.init() as made:
        yield made


def test_what_a_run_knows_of_itself(run: Run, spool: Path, tmp_path: Path) -> None:
    assert (run.id, run.name, run.rank) == ("0198c0de-0000-7000-8000-000000000000", "calm-otter", 0)
    assert (run.is_writer, run.is_outside, run.is_finished) == (True, False, False)
    assert (run.folder, run.checkpoint_root) == (spool, tmp_path / "output" / "checkpoints")
    assert bench_track.init() is run


def test_numbers_of_all_kinds(run: Run, spool: Path) -> None:
    values: list[Any] = [
        *(1.5, 2, True, np.float32(0.5), np.array(3), np.array([[4.0]])),
        *(torch.tensor(5.0, requires_grad=True), torch.tensor([6.0], requires_grad=True)),
        *(torch.tensor(5), torch.tensor(0.5, dtype=torch.bfloat16)),
        *(decimal.Decimal("7.25"), -math.inf, np.float64(math.inf)),
    ]
    names = [f"v{place}" for place in range(len(values))]
    run.log(dict(zip(names, values, strict=True)), step=3)
    expected = [1.5, 2.0, 1.0, 0.5, 3.0, 4.0, 5.0, 6.0, 5.0, 0.5, 7.25, -math.inf, math.inf]
    assert points(spool) == [(3, dict(zip(names, expected, strict=True)))]
    run.log({"nan": math.nan})
    assert math.isnan(points(spool)[-1][1]["nan"])


def test_steps_follow_the_last_one(run: Run, spool: Path) -> None:
    run.log({"a": 0})
    run.log({"a": 1})
    run.log({"a": 7}, step=7)
    run.log({"b": 8})
    run.log({"a": 3}, step=np.int64(3))  # type: ignore[arg-type]
    run.log({"a": 4})
    run.log({})
    assert [step for step, _ in points(spool)] == [0, 1, 7, 8, 3, 4]
    assert sum(isinstance(record, records.Shape) for record in read(spool)) == 2


@pytest.mark.parametrize(
    "value",
    ["1", b"1", None, [1.0], {}, np.zeros(2), torch.zeros(2), 1j, 10**400, object()],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_number_raises_and_writes_nothing(run: Run, spool: Path, value: Any) -> None:
    with pytest.raises(ValueLogError, match="loss"):
        run.log({"good": 1.0, "loss": value}, step=1)
    assert points(spool) == []


@pytest.mark.parametrize("name", ["", "a\nb", "a\0", "x" * 257, "half \ud800", 3, None, b"a"])
def test_what_is_no_name(run: Run, spool: Path, name: Any) -> None:
    for value in (1.0, torch.tensor(1.0), bench_track.Text("t")):
        with pytest.raises(ValueLogError, match="named"):
            run.log({name: value})
    assert read(spool) == []


@pytest.mark.parametrize("name", ["x" * 256, "Verlust/größe", "損失", "loss 🙂", " "])
def test_names_of_any_script(run: Run, spool: Path, name: str) -> None:
    run.log({name: 1.0})
    assert points(spool) == [(0, {name: 1.0})]


@pytest.mark.parametrize("step", [-1, 1 << 53, 1.5, "1", math.nan])
def test_what_is_no_step(run: Run, spool: Path, step: Any) -> None:
    with pytest.raises(ValueLogError, match="step"):
        run.log({"a": 1.0}, step=step)
    run.log({"a": 1.0}, step=(1 << 53) - 1)
    assert points(spool) == [((1 << 53) - 1, {"a": 1.0})]


def test_what_is_no_mapping(run: Run) -> None:
    for values in ([1.0], 1.0, None):
        with pytest.raises(ValueLogError, match="cannot be logged"):
            run.log(values)  # type: ignore[arg-type]


def test_config_and_summary(spool: Path) -> None:
    with bench_track.init(
        config={"lr": 3e-4, "path": Path("a"), "nan": math.nan}, name="one", tags=["t"]
    ) as run:
        run.config["lr"] = np.float32(0.5)
        run.config.update({"opt": {"betas": (0.9, 0.99)}}, seed=3)
        run.summary["best"] = torch.tensor(2)
        assert run.config == {
            **{"lr": 0.5, "path": "a", "nan": "NaN", "opt": {"betas": [0.9, 0.99]}, "seed": 3}
        }
        bench_track.init(config={"lr": 1})
        with pytest.raises(ValueLogError, match="1,048,576"):
            run.config["much"] = "é" * 200_000
        loop: list[Any] = []
        loop.append(loop)
        with pytest.raises(ValueLogError, match="itself"):
            run.summary["loop"] = loop
    assert notes(spool, "about") == [{"name": "one", "tags": ["t"]}]
    assert notes(spool, "config") == [
        {"values": {"lr": 3e-4, "path": "a", "nan": "NaN"}},
        {"values": {"lr": 0.5}},
        {"values": {"opt": {"betas": [0.9, 0.99]}, "seed": 3}},
        {"values": {"lr": 1}},
    ]
    assert notes(spool, "summary") == [{"values": {"best": 2}}]


@pytest.mark.parametrize(
    "labels",
    [
        *({"name": "-a"}, {"name": ""}, {"name": "x" * 101}, {"group": ""}, {"group": "g" * 101}),
        *({"tags": "ab"}, {"tags": [""]}, {"tags": ["t"] * 33}, {"tags": ["a\0"]}, {"tags": [3]}),
    ],
)
def test_what_the_server_would_refuse_is_refused_at_once(spool: Path, labels: dict[str, Any]) -> None:
    with pytest.raises(ValueLogError):
        bench_track.init(**labels)
    assert not spool.exists()


def test_after_its_end_nothing_is_logged(run: Run, spool: Path) -> None:
    run.finish()
    run.finish()
    for value in (1.0, torch.tensor(1.0)):
        with pytest.raises(TrackError, match="finished"):
            run.log({"a": value})
    assert bench_track.init() is not run


def test_only_rank_0_writes_unless_asked(spool: Path) -> None:
    with bench_track.init(rank=1, config={"a": 1}) as run:
        run.log({"a": 1.0})
        run.note("about", name="x")
        with pytest.raises(ValueLogError):
            run.log({"a": "no"})
    assert not spool.exists()
    with bench_track.init(rank=1, all_ranks=True) as run:
        run.log({"a": 1.0})
    assert points(spool) == [(0, {"a": 1.0})]
    assert [path.name.split("-")[0] for path in spool.iterdir()] == ["1"]


def test_threads_write_whole_records_with_steps_of_their_own(run: Run, spool: Path) -> None:
    def work(name: str) -> None:
        for count in range(2000):
            run.log({name: count})

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = points(spool)
    assert sorted(step for step, _ in found) == list(range(8000))
    for number in range(4):
        assert [values[f"t{number}"] for _, values in found if f"t{number}" in values] == list(range(2000))


def test_a_forked_child_has_a_file_of_its_own(spool: Path) -> None:
    script = """
import bench_track, os
run = bench_track.init()
run.log({"parent": 1.0})
child = os.fork()
run.log({"child" if child == 0 else "parent": 2.0})
if child == 0:
    raise SystemExit
os.waitpid(child, 0)
run.log({"parent": 3.0})
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)
    assert len(list(spool.iterdir())) == 2
    found = [values for _, values in points(spool)]
    assert [values["parent"] for values in found if "parent" in values] == [1.0, 2.0, 3.0]
    assert [values["child"] for values in found if "child" in values] == [2.0]


def test_a_handler_of_a_signal_may_log_within_a_log(
    run: Run, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = itertools.count(1)  # a handler may interrupt a handler

    def handle(*_: object) -> None:
        number = next(numbers)
        run.log({f"signal{number % 7}": number})

    # The first log of all, too: the file of the spool is being made.
    opened = os.open

    def open_interrupted(*words: Any, **named: Any) -> int:
        monkeypatch.setattr(os, "open", opened)
        handle()
        return opened(*words, **named)

    monkeypatch.setattr(os, "open", open_interrupted)
    run.log({"first": 0})
    assert len(list(spool.iterdir())) == 1

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for count in range(20_000):
            run.log({f"main{count % 11}": count, "same": count})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    found = points(spool)
    assert [values["same"] for _, values in found if "same" in values] == list(range(20_000))
    handled = next(numbers) - 1
    assert handled > 1
    signalled = [value for _, values in found for name, value in values.items() if "signal" in name]
    assert sorted(signalled) == [*range(1, handled + 1)]


def test_a_full_disk_costs_what_does_not_fit_and_says_so(run: Run, spool: Path) -> None:
    run.log({"a": 0.0, "b": 0.0})
    (path,) = spool.iterdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))  # 20: a part of a record
        for count in range(5):
            run.log({"a": count, "b": count})
        run.log({"new": 1.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    run.log({"new": 2.0})
    run.log({"new": 3.0})
    assert [values for _, values in points(spool)] == [{"a": 0.0, "b": 0.0}, {"new": 2.0}, {"new": 3.0}]
    assert notes(spool, "dropped") == [{"points": 11}]


def test_a_spool_that_cannot_be_made_costs_what_is_logged(
    spool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spool.parent.mkdir()
    spool.write_text("no folder")
    with bench_track.init() as run:
        run.log({"a": 1.0})
        run.log({"a": 1.0})
    assert capsys.readouterr().err.count("lost for now") == 1


def test_names_that_keep_changing_begin_another_file(run: Run, spool: Path) -> None:
    wide = {f"{number:05}": 0.0 for number in range(30_000)}
    for count in range(5):
        run.log({**wide, f"x{count}": 1.0})
    assert len(list(spool.iterdir())) == 2
    assert len(points(spool)) == 5


def test_it_needs_the_standard_library_alone_and_nothing_of_grpc(spool: Path) -> None:
    script = """
import sys
before = {name.partition(".")[0] for name in sys.modules}
import bench_track
run = bench_track.init(config={"a": 1})
run.log({"a": 1.0, "image": bench_track.Image(b"GIF89a"), "h": bench_track.Histogram([1, 2])})
run.finish()
new = {name.partition(".")[0] for name in sys.modules} - before - sys.stdlib_module_names
print(*sorted(new))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, timeout=300, stdout=subprocess.PIPE, text=True
    )
    expected = "bench_core bench_track" if sys.version_info >= (3, 11) else "bench_core bench_track tomli"
    assert done.stdout.strip() == expected
    assert len(read(spool)) == 5


def test_the_process_id_is_in_the_name(run: Run, spool: Path) -> None:
    run.log({"a": 1.0})
    (path,) = spool.iterdir()
    assert path.name.split("-")[:2] == ["0", str(os.getpid())]
