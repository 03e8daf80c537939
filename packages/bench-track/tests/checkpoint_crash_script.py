"""Kills a process that saves a checkpoint before each thing that it does; what is left must be whole.

python checkpoint_crash_script.py FOLDER dict|folder
"""

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from bench_track.checkpoints import Checkpoints
from bench_track.keeping import Keeping

SEEN = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir", "shutil.rmtree")


def child(root: Path, kind: str, kill_at: int) -> None:
    """Save step 3 over steps 1 and 2, so that 1 is removed; die at the given thing."""
    count = 0

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in SEEN and str(root) in str(arguments[0]):
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    checkpoints = Checkpoints(root, keeping=Keeping(best=0))
    sys.addaudithook(look)
    save(checkpoints, kind, 3)
    checkpoints.wait()
    os._exit(0)


def save(checkpoints: Checkpoints, kind: str, step: int) -> None:
    if kind == "dict":
        return checkpoints.save({"x": torch.full((5000,), float(step)), "step": step}, step=step)
    folder = checkpoints.root.parent / f"source-{os.getpid()}-{step}"
    (folder / "below").mkdir(parents=True, exist_ok=True)
    (folder / "weights").write_bytes(bytes([step]) * 9000)
    (folder / "below" / "meta").write_bytes(bytes([step]))
    return checkpoints.save(folder, step=step)


def check(root: Path, kind: str) -> int:
    """The step that is resumed from; everything below the folder that is offered is whole."""
    checkpoints = Checkpoints(root)
    resumed = checkpoints.resume()
    assert resumed is not None
    if kind == "dict":
        assert resumed["step"] == resumed.step
        assert torch.equal(resumed["x"], torch.full((5000,), float(resumed.step)))
    else:
        assert (resumed.path / "weights").read_bytes() == bytes([resumed.step]) * 9000
    # The next one gets through, and nothing unfinished stays.
    save(checkpoints, kind, 4)
    checkpoints.wait()
    newest = checkpoints.newest()
    assert newest is not None
    assert newest.step == 4
    assert len(os.listdir(root)) == 2, os.listdir(root)
    assert not [name for name in os.listdir(root) if name.startswith(".")]
    return resumed.step


def main(base: Path, kind: str) -> None:
    steps = []
    for kill_at in range(1, 1000):
        root = base / "checkpoints"
        first = Checkpoints(root, keeping=Keeping(best=0))
        for step in (1, 2):
            save(first, kind, step)
        first.wait()
        pid = os.fork()
        if pid == 0:
            child(root, kind, kill_at)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        steps.append(check(root, kind))
        shutil.rmtree(base)
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert set(steps) == {2, 3}, steps
    assert steps == sorted(steps), steps
    print(len(steps))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
