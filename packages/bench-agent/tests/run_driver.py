"""Moves runs through their states as the server's runner does, by the server's own services.

A process of its own: `python run_driver.py FOLDER` takes a JSON list per line, a function of this file and
its arguments, and answers each with a line.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench_server.runs.models import Attempt


class Driver:
    """The process, from its test's side. `driver.move("wide", "building")` calls `move` below."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self._call([name, *arguments])

    def _call(self, words: list[Any]) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(words), file=self._process.stdin, flush=True)
        assert self._process.stdout.readline() == "done\n"


@contextmanager
def running_driver(data: Path) -> Iterator[Driver]:
    """A driver of the runs of a server's folder."""
    words = [sys.executable, __file__, str(data)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Driver(process)
        assert process.stdin is not None
        process.stdin.close()


def move(run: str, *states: str) -> None:
    from bench_server.runs.states import State
    from bench_server.runs.transitions import move as move_attempt

    for state in states:
        assert move_attempt(_attempt(run).pk, State[state.upper()], fencing=None)


def wait_for(run: str, what: str) -> None:
    from bench_server.runs.transitions import note

    assert note(_attempt(run).pk, fencing=0, waiting_for=what)


def build(run: str, text: str) -> None:
    from bench_server.runs.log_store import build_path_of

    path = build_path_of(_attempt(run))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)


def say(run: str, text: str) -> None:
    from bench_server.runs import log_store

    attempt = _attempt(run)
    log_store.append(attempt, log_store.received(attempt), [text.encode()])


def leave(run: str, path: str, text: str) -> None:
    from django.conf import settings

    file = settings.FOLDER.runs / str(_attempt(run).run_id) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def checkpoint(run: str, step: int, files: dict[str, str], metric: float | None, best: bool) -> None:
    """Leave a checkpoint in the run's folder, and take what the training says of it."""
    from bench_server.tracks import ingest
    from bench_track.records import MAGIC, pack_note
    from checkpoint_tools import note_of, write_checkpoint
    from django.conf import settings

    attempt = _attempt(run)
    root = settings.FOLDER.runs / str(attempt.run_id) / "output" / "checkpoints"
    made = write_checkpoint(root, step, {path: text.encode() for path, text in files.items()}, metric)
    ingest.append(attempt, f"0-{step}-5e0c2a91", 0, [MAGIC + pack_note(note_of(made, best=best))])


def end(run: str, reason: str, message: str, exit_code: int | None) -> None:
    from bench_server.runs.services import end_attempt

    assert end_attempt(_attempt(run), reason, message, fencing=0, exit_code=exit_code)


def _attempt(run: str) -> "Attempt":
    from bench_server.runs.models import Attempt

    return Attempt.objects.filter(run__name=run).order_by("-run_id", "-number")[0]


def main() -> None:
    from bench_server.operations import use

    use(Path(sys.argv[1]))
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        globals()[name](*arguments)
        print("done", flush=True)


if __name__ == "__main__":
    main()
