"""What is saved comes back; what is not whole is never offered; what is kept."""

import json
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bench_track.checkpoints import Checkpoints
from bench_track.errors import CheckpointError
from bench_track.keeping import Keeping
from bench_track.resumed import Resumed


def saved(root: Path, state: Any, **options: Any) -> Resumed:
    """A state as it comes back."""
    checkpoints = Checkpoints(root)
    checkpoints.save(state, **{"step": 1, **options})
    checkpoints.wait()
    resumed = checkpoints.resume()
    assert resumed is not None
    return resumed


def steps(root: Path) -> list[int]:
    return sorted(int(path.name.split("-")[1]) for path in root.iterdir())


def build(width: int) -> torch.nn.Linear:
    return torch.nn.Linear(width, 1)


def test_a_tree_comes_back_as_it_was_at_the_call(tmp_path: Path) -> None:
    weight, array = torch.ones(1000), np.arange(5)
    state: dict[str, Any] = {
        "weight": weight,
        "views": [weight[:10], weight[5:15]],
        "nested": {"lr": 0.1, "names": ("a", None), "half": torch.ones(2, 3, dtype=torch.bfloat16).t()},
        "ordered": OrderedDict(a=torch.tensor(3), b=torch.nn.Parameter(torch.zeros(2))),
        "array": array,
        "empty": torch.empty(0, 3),
        "sparse": torch.eye(3).to_sparse(),
        "complex": torch.tensor([1 + 2j]).conj(),
    }
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state, step=12, metric=0.5)
    weight.zero_()
    array[:] = 0
    state["nested"]["lr"] = 7
    checkpoints.wait()
    resumed = checkpoints.resume()
    assert resumed
    assert (resumed.step, resumed.metric) == (12, 0.5)
    assert list(resumed) == list(state)
    assert torch.equal(resumed["weight"], torch.ones(1000))
    assert resumed["nested"]["lr"] == 0.1
    assert resumed["nested"]["names"] == ("a", None)
    assert torch.equal(resumed["nested"]["half"], torch.ones(3, 2, dtype=torch.bfloat16))
    assert isinstance(resumed["ordered"], OrderedDict)
    assert isinstance(resumed["ordered"]["b"], torch.nn.Parameter)
    assert np.array_equal(resumed["array"], np.arange(5))
    assert resumed["empty"].shape == (0, 3)
    assert torch.equal(resumed["sparse"].to_dense(), torch.eye(3))
    assert resumed["complex"].tolist() == [1 - 2j]
    resumed["weight"][7] = 5  # they share memory, as before
    assert [view.tolist().index(5) for view in resumed["views"]] == [7, 2]


def test_it_is_a_file_of_torch_that_loads_without_running_code(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    path = saved(tmp_path, {"model": model.state_dict(), "optimizer": optimizer.state_dict()}).path
    state = torch.load(path, weights_only=True)
    torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).load_state_dict(state["model"])
    torch.optim.Adam(model.parameters()).load_state_dict(state["optimizer"])
    assert state["model"]._metadata == model.state_dict()._metadata  # type: ignore[attr-defined]


def test_modules_stand_for_their_state_and_say_what_they_are(tmp_path: Path) -> None:
    model = build(3)
    builders = {"model": (build, {"width": 3})}
    resumed = saved(
        tmp_path, {"model": model, "optimizer": torch.optim.SGD(model.parameters())}, builders=builders
    )
    assert torch.equal(resumed["model"]["weight"], model.weight)
    assert set(resumed["optimizer"]) == {"state", "param_groups"}
    document = json.loads((resumed.checkpoint.folder / "checkpoint.json").read_text())
    assert document["models"] == {
        "model": {
            "class": "torch.nn.modules.linear:Linear",
            "builder": f"{__name__}:build",
            "arguments": {"width": 3},
        }
    }


def test_the_document_says_all_of_it(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, config=lambda: {"lr": 0.1})
    checkpoints.save({"a": 1}, step=1200, metric=float("nan"))
    checkpoints.wait()
    found = checkpoints.newest()
    assert found is not None
    document = json.loads((tmp_path / "step-000001200" / "checkpoint.json").read_text())
    assert document.pop("time") == found.time
    (file,) = document.pop("files")
    assert file == {"path": "state.pt", "size": found.size_bytes, "sha256": found.files[0].sha256}
    assert document == {
        "version": 1,
        "step": 1200,
        "metric": None,
        "content": "state",
        "config": {"lr": 0.1},
        "models": {},
    }


def test_a_folder_and_a_file_are_copied_as_they_are(tmp_path: Path) -> None:
    source, root = tmp_path / "source", tmp_path / "checkpoints"
    (source / "below").mkdir(parents=True)
    (source / ".metadata").write_bytes(b"1")
    (source / "below" / "weights").write_bytes(b"22")
    checkpoints = Checkpoints(root)
    checkpoints.save(source, step=1)
    (source / "below" / "weights").write_bytes(b"333")  # the library saves again, into the same file
    checkpoints.wait()
    resumed = checkpoints.resume()
    assert resumed is not None
    assert resumed == {}
    assert (resumed.path / "below" / "weights").read_bytes() == b"22"
    assert [file.path for file in resumed.checkpoint.files] == [".metadata", "below/weights"]
    assert saved(root, str(source / ".metadata"), step=2).path == root / "step-000000002" / ".metadata"


def test_torn_and_damaged_ones_are_passed_over(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keeping=Keeping(last=4))
    for step in (1, 2, 3, 4):
        checkpoints.save({"step": step, "x": torch.ones(100)}, step=step)
    checkpoints.wait()
    (tmp_path / "step-000000004" / "checkpoint.json").unlink()
    with open(tmp_path / "step-000000003" / "state.pt", "ab") as file:
        file.write(b"more")
    data = bytearray((tmp_path / "step-000000002" / "state.pt").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "step-000000002" / "state.pt").write_bytes(data)
    newest = checkpoints.newest()
    assert newest is not None
    assert newest.step == 2  # its sizes are right
    with pytest.warns(RuntimeWarning, match="passed over") as said:
        resumed = checkpoints.resume()
    assert resumed is not None
    assert resumed["step"] == 1
    assert len(said) == 3
    assert "is not what was written" in str(said[-1].message)


def test_nothing_is_no_checkpoint(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "absent").resume() is None
    assert Checkpoints(tmp_path / "absent").newest() is None
    assert not (tmp_path / "absent").exists()


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    said: list[tuple[str, bool]] = []
    removed: list[str] = []
    checkpoints = Checkpoints(
        tmp_path,
        on_saved=lambda checkpoint, is_best: said.append((checkpoint.name, is_best)),
        on_removed=removed.append,
    )
    for step, metric in enumerate([0.1, 0.9, 0.2, 0.3, None, 0.4]):
        checkpoints.save({}, step=step, metric=metric)
    checkpoints.wait()
    assert steps(tmp_path) == [1, 4, 5]
    assert [is_best for _, is_best in said] == [True, True, False, False, False, False]
    assert removed == [f"step-00000000{step}" for step in (0, 2, 3)]


def test_the_best_may_be_the_smallest(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keeping=Keeping(last=1, better="min"))
    for step, metric in enumerate([3.0, 1.0, 2.0]):
        checkpoints.save({}, step=step, metric=metric)
    checkpoints.wait()
    assert steps(tmp_path) == [1, 2]


def test_a_step_that_comes_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for value in (1, 2, 3):
        checkpoints.save({"value": value}, step=5)
    resumed = checkpoints.resume()
    assert resumed is not None
    assert resumed["value"] == 3
    assert len(list(tmp_path.iterdir())) == 1


def test_a_training_that_begins_anew_keeps_what_it_makes(tmp_path: Path) -> None:
    for step in (1000, 2000, 10, 20):
        checkpoints = Checkpoints(tmp_path)
        checkpoints.save({}, step=step)
        checkpoints.wait()
    assert steps(tmp_path) == [10, 20]


@pytest.mark.parametrize(
    ("state", "options", "message"),
    [
        ([1], {}, "a list is no checkpoint"),
        ({}, {"step": -1}, "step=-1 is no step"),
        ({"f": lambda: 1}, {}, "the state has something that cannot be saved"),
        ({}, {"builders": {"model": (build, {})}}, "builders has \\['model'\\], which the state has not"),
        ({"m": 1}, {"builders": {"m": (build, {"width": {1}})}}, "the arguments of the builder of m are not"),
        ("absent", {}, "absent is not there"),
    ],
)
def test_what_cannot_be_saved_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: Any, options: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        Checkpoints(tmp_path / "root").save(state, **{"step": 1, **options})
    assert not (tmp_path / "root").exists() or not list((tmp_path / "root").iterdir())


def test_a_checkpoint_of_bench_is_no_folder_to_save(tmp_path: Path) -> None:
    folder = saved(tmp_path, {}).checkpoint.folder
    with pytest.raises(CheckpointError, match=r"has a checkpoint\.json"):
        Checkpoints(tmp_path).save(folder, step=2)


def test_keeping_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="keep_last=0"):
        Keeping(last=0)
    with pytest.raises(CheckpointError, match=r"keep_last=1\.5"):
        Keeping(last=1.5)  # type: ignore[arg-type]


def test_threads_may_save_at_once_and_all_are_waited_for(tmp_path: Path) -> None:
    heard: list[int] = []
    checkpoints = Checkpoints(
        tmp_path, keeping=Keeping(last=9), on_saved=lambda one, is_best: heard.append(one.step)
    )
    state = {"x": torch.ones(3_000_000)}
    threads = [
        threading.Thread(target=checkpoints.save, args=(state,), kwargs={"step": step}) for step in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    checkpoints.wait()
    assert sorted(heard) == steps(tmp_path) == list(range(6))


def test_a_folder_around_the_checkpoints_is_not_copied_into_them(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"w")
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    with pytest.raises(CheckpointError, match="own checkpoints in it"):
        checkpoints.save(tmp_path, step=1)
    assert list((tmp_path / "checkpoints").iterdir()) == []
    checkpoints.save(tmp_path / "weights", step=1)
    checkpoints.wait()
    assert steps(tmp_path / "checkpoints") == [1]


def test_what_is_no_folder_is_said(tmp_path: Path) -> None:
    root = tmp_path / "file"
    root.write_bytes(b"")
    with pytest.raises(CheckpointError, match="cannot be read: Not a directory"):
        Checkpoints(root).resume()
    with pytest.raises(CheckpointError, match="cannot be read: Not a directory"):
        Checkpoints(root).save({}, step=1)
