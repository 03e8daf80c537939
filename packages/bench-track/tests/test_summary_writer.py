"""The SummaryWriter beside torch's own: the same calls, and what then is in event files and in the spool."""

import inspect
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bench_track
import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import pytest
import torch
from adapter_tools import clean, end, example, root, run_script, runs, said, series, spool
from bench_track.errors import ValueLogError
from bench_track.tensorboard import SummaryWriter
from spool_reading import media, notes
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils import tensorboard as theirs

__all__ = ["clean", "root", "spool"]  # fixtures

torch.manual_seed(0)
WEIGHTS = torch.randn(1000) * 3
RGB = torch.rand(3, 4, 6)
BATCH = torch.randint(0, 256, (2, 3, 4, 6), dtype=torch.uint8)


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0, "images": 0})
    found.Reload()
    return found


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found = events(folder)
    return {
        tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]
    }


def rounded(values: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """As event files have numbers."""
    return [(step, float(np.float32(value))) for step, value in values]


def pixels(file: bytes) -> Any:
    return np.asarray(PIL.Image.open(io.BytesIO(file)).convert("RGB"), np.int64)


def both(tmp_path: Path, calls: Callable[[Any], None]) -> Path:
    """Have torch's writer and ours do the same; the folder of the event files."""
    with theirs.SummaryWriter(str(tmp_path / "events")) as writer:
        calls(writer)
    with SummaryWriter(tmp_path / "events") as ours:
        calls(ours)
    return tmp_path / "events"


def test_scalars(spool: Path, tmp_path: Path) -> None:
    def calls(writer: Any) -> None:
        for step in range(3):
            writer.add_scalar("train/loss", 1 / (step + 1), step)
            writer.add_scalar("tensor", torch.tensor([0.1 * step], requires_grad=True), torch.tensor(step))
            writer.add_scalar("half", torch.tensor(0.5).bfloat16(), global_step=np.int64(10 * step))
            writer.add_scalar("array", np.float32(step), float(step), new_style=False)
        writer.add_scalar("without a step", 7)
        writer.flush()

    found = scalars(both(tmp_path, calls))
    assert len(found) == 5
    assert {name: rounded(values) for name, values in series(spool).items()} == found


def test_scalars_of_a_main_tag(spool: Path, tmp_path: Path) -> None:
    def calls(writer: Any) -> None:
        for step in (2, 3):
            writer.add_scalars("run/acc", {"train": 0.25 * step, "valid": np.float64(0.125)}, step)

    folder = both(tmp_path, calls)
    found = {f"run/acc/{tag}": scalars(folder / f"run_acc_{tag}")["run/acc"] for tag in ("train", "valid")}
    assert series(spool) == found


def test_histograms(spool: Path, tmp_path: Path) -> None:
    def calls(writer: Any) -> None:
        writer.add_histogram("weights", WEIGHTS, 3)
        writer.add_histogram("weights", WEIGHTS.numpy().reshape(10, 100), 4, bins="auto", max_bins=9)
        writer.add_histogram("weights", torch.tensor([1, 2, 2, 5]), 5, bins=2)
        writer.add_histogram("weights", np.array([0.5, 1.5, 2.5]), 6, bins=[0, 1, 3])

    found = events(both(tmp_path, calls)).Histograms("weights")
    ours = media(spool)
    assert [(record.step, record.header["bins"]) for record in ours] == [(3, 64), (4, 9), (5, 2), (6, 2)]
    assert [event.step for event in found] == [3, 4, 5, 6]
    for event, record in zip(found[:3], ours, strict=False):
        value, header = event.histogram_value, record.header
        assert (header["series"], header["type"], header["count"]) == ("weights", "histogram", value.num)
        assert (header["min"], header["max"]) == (value.min, value.max)
        assert header["mean"] * header["count"] == pytest.approx(value.sum)
    assert np.frombuffer(ours[2].content).tolist() == [1, 3, 5, 3, 1]
    assert np.frombuffer(ours[3].content).tolist() == [0, 1, 3, 1, 2]


@pytest.mark.parametrize(
    ("data", "dataformats"),
    [
        (RGB, "CHW"),
        (RGB.bool(), "CHW"),
        ((RGB > 0.5).long(), "chw"),
        ((RGB > 0.5).numpy().astype(np.int32), "CHW"),
        (RGB[:1], "CHW"),
        (RGB[0].numpy(), "HW"),
        (RGB[0], "WH"),
        (RGB.permute(1, 2, 0).double().numpy(), "HWC"),
        (BATCH[0], "CHW"),
        (RGB.permute(2, 1, 0), "WHC"),
    ],
)
def test_an_image(spool: Path, tmp_path: Path, data: Any, dataformats: str) -> None:
    def calls(writer: Any) -> None:
        writer.add_image("image", data, 2, dataformats=dataformats)

    (event,) = events(both(tmp_path, calls)).Images("image")
    (record,) = media(spool)
    assert (record.header, record.step) == ({"series": "image", "type": "image", "format": "png"}, event.step)
    expected = pixels(event.encoded_image_string)
    assert expected.std() > 0 or data.dtype == torch.bool
    assert np.abs(pixels(record.content) - expected).max() <= 1, "torch's writer cuts off, ours rounds"


@pytest.mark.parametrize(
    ("data", "dataformats"), [(BATCH, "NCHW"), (BATCH.permute(0, 2, 3, 1).numpy(), "NHWC")]
)
def test_images(spool: Path, tmp_path: Path, data: Any, dataformats: str) -> None:
    def calls(writer: Any) -> None:
        writer.add_images("batch", data, 2, dataformats=dataformats)

    (event,) = events(both(tmp_path, calls)).Images("batch")
    records = media(spool)
    assert [(record.step, record.header["index"]) for record in records] == [(2, 0), (2, 1)]
    grid = np.concatenate([pixels(record.content) for record in records], 1)
    assert np.array_equal(grid, pixels(event.encoded_image_string))


def test_figures(spool: Path, tmp_path: Path) -> None:
    def figure() -> Any:
        made, axes = plt.subplots(figsize=(2, 1))
        axes.plot([0, 1], [1, 0])
        return made

    def calls(writer: Any) -> None:
        writer.add_figure("figure", figure(), 1)
        writer.add_figure("figures", [figure(), figure()], 2)

    found = events(both(tmp_path, calls))
    ours = media(spool)
    (event,) = found.Images("figure")
    assert np.array_equal(pixels(ours[0].content), pixels(event.encoded_image_string))
    assert [(record.header["series"], record.step) for record in ours[1:]] == [("figures", 2)] * 2
    assert plt.get_fignums() == []
    kept = figure()
    SummaryWriter().add_figure("figure", kept, close=False)
    assert plt.get_fignums() == [kept.number]
    plt.close(kept)


def test_texts(spool: Path, tmp_path: Path) -> None:
    def calls(writer: Any) -> None:
        writer.add_text("note", "größe *as it is*", 3)

    (event,) = events(both(tmp_path, calls)).Tensors("note/text_summary")
    (record,) = media(spool)
    assert (record.header, record.step) == ({"series": "note", "type": "text"}, event.step)
    assert record.content == event.tensor_proto.string_val[0]


def test_hyperparameters(spool: Path, tmp_path: Path) -> None:
    hparams = {"lr": 0.5, "batch": 32, "name": "a", "nesterov": True}

    def calls(writer: Any) -> None:
        writer.add_hparams(hparams, {"acc": torch.tensor([0.25]), "loss": 2}, run_name="sub", global_step=4)

    found = scalars(both(tmp_path, calls) / "sub")
    assert series(spool) == found == {"acc": [(4, 0.25)], "loss": [(4, 2.0)]}
    assert notes(spool, "config") == [{"values": hparams}]
    assert notes(spool, "summary") == [{"values": {"acc": 0.25, "loss": 2.0}}]
    with pytest.raises(ValueLogError, match="acc"):
        SummaryWriter().add_hparams({"lr": 1}, {"acc": "good"})
    assert len(notes(spool, "config")) == 1


def parameters(method: Any) -> list[tuple[str, Any]]:
    return [(name, each.default) for name, each in inspect.signature(method).parameters.items()]


@pytest.mark.parametrize(
    "name", ["__init__", *(name for name in dir(theirs.SummaryWriter) if name[0] != "_")]
)
def test_each_method_is_there_and_called_alike(
    spool: Path, name: str, recwarn: pytest.WarningsRecorder
) -> None:
    expected, found = (
        parameters(getattr(theirs.SummaryWriter, name)),
        parameters(getattr(SummaryWriter, name)),
    )
    if [each for each, _ in found] == ["self", "args", "kwargs"]:
        writer = SummaryWriter()
        with pytest.warns(UserWarning, match=f"SummaryWriter.{name} does nothing"):
            getattr(writer, name)("tag", torch.zeros(2), global_step=3)
        getattr(writer, name)("tag")
        assert not recwarn.list, "it is said once"
        assert not list(spool.glob("*"))
        return
    assert found[: len(expected)] == expected


def test_a_step_follows_the_last_of_its_tag(spool: Path) -> None:
    writer = SummaryWriter()
    for value in (1, 2):
        writer.add_scalar("a", value)
        writer.add_scalar("b", value)
    writer.add_scalar("b", 3, 10)
    writer.add_scalar("b", 4)
    assert series(spool) == {"a": [(0, 1), (1, 2)], "b": [(0, 1), (1, 2), (10, 3), (11, 4)]}


def test_what_a_run_does_not_hold_is_said_once(spool: Path, recwarn: pytest.WarningsRecorder) -> None:
    writer = SummaryWriter()
    with pytest.warns(UserWarning, match="below 0"):
        writer.add_scalar("a", 1.0, -1)
    with pytest.warns(UserWarning, match="walltime"):
        writer.add_scalar("a", 1.0, 0, walltime=1.0)
    writer.add_scalar("a", 2.0, -1)
    writer.add_scalar("line\nbreak", 2.0, 1, 2.0)
    assert not recwarn.list
    assert series(spool) == {"a": [(0, 1.0)], "line_break": [(1, 2.0)]}


@pytest.mark.parametrize(
    "call",
    [
        lambda writer: writer.add_scalar("a", torch.zeros(2)),
        lambda writer: writer.add_scalars("a", {"b": 1.0, "c": None}),
        lambda writer: writer.add_histogram("a", ["x"]),
        lambda writer: writer.add_image("a", RGB, dataformats="HW"),
        lambda writer: writer.add_image("a", RGB, dataformats="HXC"),
        lambda writer: writer.add_image("a", [[1.0]], dataformats="HW"),
        lambda writer: writer.add_image("a", torch.zeros(7, 4, 4)),
        lambda writer: writer.add_figure("a", 3),
    ],
)
def test_what_torchs_writer_refuses_too(spool: Path, call: Any) -> None:
    with pytest.raises(ValueLogError):
        call(SummaryWriter())
    assert series(spool) == {}
    assert media(spool) == []


def test_writers_of_one_run_do_not_mix(spool: Path) -> None:
    run = bench_track.init()
    folders = ["runs/x/train", "runs/x/train", "runs/x/valid", "runs/y", "runs/x", "runs/x/train/deep", None]
    for value, folder in enumerate(folders):
        SummaryWriter(folder, run=run).add_scalar("loss", value, value)
    assert series(spool) == {
        "loss": [(0, 0), (1, 1), (6, 6)],
        "valid/loss": [(2, 2)],
        "y/loss": [(3, 3)],
        "x/loss": [(4, 4)],
        "deep/loss": [(5, 5)],
    }


def test_a_sweep_is_a_run_for_each_folder(root: Path) -> None:
    for rate in (0.1, 0.2):
        writer, beside = SummaryWriter(f"runs/lr{rate}"), SummaryWriter(f"runs/lr{rate}/valid")
        writer.add_scalar("loss", rate, 0)
        beside.add_scalar("loss", rate, 0)
        writer.close()
        beside.close()
        writer.add_scalar("loss", rate, 1)
        writer.close()
    with pytest.raises(KeyError), SummaryWriter("runs/lr0.3"):
        raise KeyError("no")
    SummaryWriter(comment="_again")
    folders = runs(root)
    assert [said(folder)["group"] for folder in folders] == [
        "runs/lr0.1",
        "runs/lr0.2",
        "runs/lr0.3",
        "_again",
    ]
    assert [end(folder) for folder in folders] == [
        ("succeeded", None),
        ("succeeded", None),
        ("failed", "KeyError: 'no'"),
        None,
    ]
    for folder, rate in zip(folders, (0.1, 0.2), strict=False):
        assert series(folder) == {"loss": [(0, rate), (1, rate)], "valid/loss": [(0, rate)]}


def test_a_folder_for_files_beside(spool: Path, tmp_path: Path) -> None:
    assert SummaryWriter().log_dir == str(tmp_path / "output")
    assert (tmp_path / "output").is_dir(), "the server keeps what is there"
    writer = SummaryWriter(tmp_path / "runs" / "x")
    assert writer.get_logdir() == writer.log_dir == str(tmp_path / "runs" / "x")
    assert (tmp_path / "runs" / "x").is_dir()


def test_its_folder_elsewhere(root: Path) -> None:
    folder = SummaryWriter().log_dir
    assert [folder] == [str(each) for each in runs(root)]


def test_it_needs_neither_torch_nor_tensorboard(root: Path, tmp_path: Path) -> None:
    text = (
        "import sys\nfrom bench_track.tensorboard import SummaryWriter\n"
        "SummaryWriter().add_scalar('a', 1.5, 3)\n"
        "print(sorted({'numpy', 'tensorboard', 'torch'} & sys.modules.keys()))"
    )
    assert run_script(text, tmp_path) == "[]\n"
    (folder,) = runs(root)
    assert series(folder) == {"a": [(3, 1.5)]}
    assert end(folder) == ("succeeded", None)


def test_the_readmes_example(root: Path) -> None:
    exec(example("bench_track.tensorboard"), {})
    (folder,) = runs(root)
    assert len(series(folder)["train/loss"]) == 100
    assert [record.header["type"] for record in media(folder)] == ["text"]
