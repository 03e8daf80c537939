"""Values that a GPU has not computed yet, logged: `./run gpu`, where there is one."""

from pathlib import Path
from typing import Any

import bench_track
import pytest
import torch
from bench_track import records


def logged(folder: Path) -> list[tuple[int, dict[str, float]]]:
    (path,) = folder.glob("*.records")
    found, consumed = records.read_records(path.read_bytes())
    assert consumed == path.stat().st_size
    shapes = {record.shape: record.names for record in found if isinstance(record, records.Shape)}
    points = [record for record in found if isinstance(record, records.Points)]
    return [(one.step, dict(zip(shapes[one.shape], one.values, strict=True))) for one in points]


def test_the_gpu_is_not_waited_for_and_the_order_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_TRACK", str(tmp_path))
    loss = torch.zeros(1, device="cuda", requires_grad=True)
    with bench_track.init() as run:
        loss = loss + 0  # what a kernel's first call loads waits for the GPU
        run.log({"loss": loss, "host": 0, "half": loss.half(), "whole": loss.long()}, step=0)
        work = torch.ones(8192, 8192, device="cuda") @ torch.ones(8192, 8192, device="cuda") * 1e-4
        torch.cuda.synchronize()
        begun: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]
        for _ in range(200):
            work = work @ work * 1e-4
        for step in range(1, 50):
            loss = loss + 1
            run.log({"loss": loss, "host": step, "half": loss.half(), "whole": loss.long()}, step=step)
            run.log({"plain": step}, step=step)
        begun.record()
        assert not begun.query()  # all of it was logged before the GPU was done
    expected: list[tuple[int, dict[str, float]]] = [
        (0, dict.fromkeys(("loss", "host", "half", "whole"), 0.0))
    ]
    for step in range(1, 50):
        expected.append((step, dict.fromkeys(("loss", "host", "half", "whole"), float(step))))
        expected.append((step, {"plain": float(step)}))
    assert logged(tmp_path) == expected


def test_what_is_no_single_value_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_TRACK", str(tmp_path))
    with bench_track.init() as run, pytest.raises(bench_track.ValueLogError):
        run.log({"loss": torch.zeros(2, device="cuda")})


def test_media_of_tensors_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_TRACK", str(tmp_path))
    values = torch.arange(10.0, device="cuda")
    assert bench_track.Histogram(values).header()["count"] == 10
    picture = torch.rand(3, 8, 8, device="cuda")
    assert bench_track.Image(picture).content() == bench_track.Image(picture.cpu()).content()
    with bench_track.init() as run:
        run.log({"image": bench_track.Image(picture), "loss": values[3]})
