"""With what a training has beside: loaders of bench-data, and other ranks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench_track import records
from free_ports import free_port
from spool_reading import points, read


def test_each_point_says_which_batch_came_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench_data.batch_order import BatchOrder

    monkeypatch.setenv("BENCH_TRACK", str(tmp_path))
    import bench_track
    from bench_data.latest_batch import latest_batch

    fields = {"count": 8, "shuffle": "exact", "seed": 7, "window_chunks": 1, "batch_size": 4, "rank": 0}
    more = {"ranks": 1, "uneven": "pad", "start": 0}
    names = [name for name in BatchOrder.__dataclass_fields__ if name not in {**fields, **more}]
    orders = [BatchOrder(**dict.fromkeys(names, text), **fields, **more) for text in ("a", "b")]  # type: ignore[arg-type]
    monkeypatch.setattr(latest_batch, "position", (None, 0, 0))
    with bench_track.init() as run:
        run.log({"x": 0.0})
        for order, epoch, batch in [
            (orders[0], 0, 0),
            (orders[0], 0, 1),
            (orders[1], 0, 0),
            (orders[0], 1, 0),
        ]:
            latest_batch.position = (order, epoch, batch)
            run.log({"x": 0.0})
    found = read(tmp_path)
    said = {record.order: record.fields for record in found if isinstance(record, records.Order)}
    assert [*said.values()] == [order.to_json() for order in orders]
    first, second = said
    placed = [(each.order, each.epoch, each.batch) for each in found if isinstance(each, records.Points)]
    assert placed == [(0, 0, 0), (first, 0, 0), (first, 0, 1), (second, 0, 0), (first, 1, 0)]


def test_how_long_loaders_were_waited_for_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_TRACK", str(tmp_path))
    import bench_track
    from bench_data.latest_batch import latest_batch
    from bench_track import run as module

    monkeypatch.setattr(module, "WAIT_NANOSECONDS", 0)
    with bench_track.init() as run:
        latest_batch.waited_seconds += 3600
        run.log({"x": 0.0}, step=4)
        run.log({"x": 0.0}, step=5)
    shares = [(step, values) for step, values in points(tmp_path) if "x" not in values]
    assert shares == [
        (4, {"system/data_wait_percent": 100.0}),
        (5, {"system/data_wait_percent": 0.0}),
    ]


RANK = """
import torch.distributed, bench_track
torch.distributed.init_process_group("gloo")
run = bench_track.init(all_ranks=True, config={"a": 1})
for step in range(100):
    run.log({"x": run.rank}, step=step)
torch.distributed.barrier()
torch.distributed.destroy_process_group()
"""


def test_all_ranks_of_a_training_elsewhere_write_to_one_folder(tmp_path: Path) -> None:
    port = str(free_port())
    environment = {name: value for name, value in os.environ.items() if name != "BENCH_TRACK"}
    environment |= {"BENCH_TRACK_ROOT": str(tmp_path), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK],
            cwd=tmp_path,
            env={**environment, "RANK": str(rank), "WORLD_SIZE": "2"},
        )
        for rank in range(2)
    ]
    assert [rank.wait(timeout=300) for rank in ranks] == [0, 0]
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    files = sorted(path.name.split("-")[0] for path in folder.glob("*.records"))
    assert files == ["0", "1"]
    assert [values["x"] for _, values in points(folder)] == [0.0] * 100 + [1.0] * 100
    assert json.loads((folder / "end.json").read_bytes())["state"] == "succeeded"
