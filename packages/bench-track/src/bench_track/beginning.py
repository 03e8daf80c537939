"""`bench_track.init`: begins a run, and sees to its end."""

import atexit
import os
import re
import sys
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any, NoReturn

from bench_track.errors import TrackError, ValueLogError
from bench_track.keeping import Better, Keeping
from bench_track.place import Place, make_place, place_of, place_within
from bench_track.run import Run, end_of
from bench_track.settings import OUTPUT_VARIABLE, own_rank, track_root

NAME = re.compile(r"[^\W_][\w .-]{0,99}")
MAX_TAGS, MAX_LABEL = 32, 100
"""As the server has them."""


@dataclass
class _Script:
    """What is known of this process's script."""

    run: Run | None = None
    end: tuple[str, int | None, str | None] = ("succeeded", 0, None)
    is_watched: bool = False


_script = _Script()


def init(
    *,
    config: Any = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    group: str | None = None,
    project: str | None = None,
    rank: int | None = None,
    all_ranks: bool = False,
    checkpoints: str | os.PathLike[str] | None = None,
    keep_last: int | None = None,
    keep_best: int | None = None,
    better: Better | None = None,
) -> Run:
    """Begin to log. Within a run of a server it is that run; elsewhere a new one.

    While a run goes on in this process, it is that one again.

    Args:
        config: What the run is configured with: a mapping, an `argparse.Namespace` or a dataclass.
        name: What it is called; the server makes a name if none is given.
        tags: Words to find it by.
        group: A word that it shares with others.
        project: The project's id, elsewhere; unless given, `$BENCH_PROJECT` or the nearest bench.toml's.
        rank: Of this process; unless given that of torch.distributed or of the launcher's variables.
        all_ranks: Whether each rank writes, and not only rank 0. Elsewhere, all of them have to call this,
            after `torch.distributed.init_process_group`.
        checkpoints: Elsewhere, the folder of the checkpoints: the next run goes on from those of the last.
            Unless given each run has a folder of its own, and begins anew. Where `$BENCH_OUTPUT` is set, that
            has them.
        keep_last: How many of the newest checkpoints are kept, at least 1; 2 if not given.
        keep_best: How many of those with the best metrics are kept beside; 1 if not given.
        better: Whether a larger (`max`, if not given) or a smaller (`min`) metric is better.

    Raises:
        ValueLogError: A name, a tag or the config cannot be.
        CheckpointError: Nothing would be kept.
        TrackError: The run's folder cannot be made.

    Example:
        run = bench_track.init(config={"lr": 3e-4})
        for step in range(1000):
            run.log({"train/loss": train_step()}, step=step)
    """
    _check_labels(name, tags, group)
    given = {"last": keep_last, "best": keep_best, "better": better}
    keep: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    keeping = Keeping(**keep)
    run = current()
    is_new = run is None
    if run is None:
        found = own_rank() if rank is None else rank
        place = place_within() or _place_elsewhere(
            found, all_ranks=all_ranks, project=project, name=name, tags=tags, group=group
        )
        if checkpoints is not None and place.is_outside and OUTPUT_VARIABLE not in os.environ:
            place = replace(place, checkpoints=Path(checkpoints).absolute())
        run = Run(place, found, is_writer=found == 0 or all_ranks, keeping=keeping)
        _script.run, _script.end = run, ("succeeded", 0, None)
        _watch_the_end()
    elif keep:
        run.keep(keeping)
    about = {key: value for key, value in (("name", name), ("tags", list(tags)), ("group", group)) if value}
    if about and run.rank == 0 and not (is_new and run.is_outside):  # run.json says it
        run.note("about", **about)
    if config is not None and (run.rank == 0 or not is_new):
        run.config.update(config)
    return run


def current() -> Run | None:
    """The run that goes on in this process, if there is one."""
    run = _script.run
    return None if run is None or run.is_finished else run


def _place_elsewhere(rank: int, *, all_ranks: bool, **about: Any) -> Place:
    """Rank 0 makes the folder; where all ranks write it tells the others."""
    if not all_ranks:
        return make_place(**about) if rank == 0 else place_of(track_root() / "none")
    torch: Any = sys.modules.get("torch")
    distributed = getattr(torch, "distributed", None)
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        if rank == 0:
            return make_place(**about)
        raise TrackError(
            f"rank {rank} does not know the folder of rank 0",
            hint="Call it in all ranks, after torch.distributed.init_process_group.",
        )
    place = make_place(**about) if rank == 0 else None
    told = [str(place.spool) if place else ""]
    distributed.broadcast_object_list(told, src=0)
    return place or place_of(Path(told[0]))


def _watch_the_end() -> None:
    """Once: note how the script ends, and say it last."""
    if _script.is_watched:
        return
    _script.is_watched = True
    atexit.register(_finish)
    say, leave = sys.excepthook, sys.exit

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        _script.end = end_of(error)
        say(kind, error, trace)

    def leave_noting(status: Any = None, /) -> NoReturn:
        try:
            leave(status)
        except SystemExit as error:
            if threading.current_thread() is threading.main_thread():  # elsewhere it ends that thread only
                _note_leaving(error)
            raise

    sys.excepthook = hook
    sys.exit = leave_noting  # nothing else tells an atexit handler the code


class _Witness:
    """Goes with an exception, which itself cannot be referred to weakly."""


def _note_leaving(error: SystemExit) -> None:
    """Take it that this ends the script, until it is gone while the script goes on: somebody caught it."""
    before, end, script = _script.end, end_of(error), _outermost()
    _script.end = end

    def go_on() -> None:
        if _script.end is end and _outermost() is script:
            _script.end = before

    witness = _Witness()
    vars(error)["_bench_track"] = witness
    weakref.finalize(witness, go_on).atexit = False


def _outermost() -> CodeType | None:
    """What the main thread began with: the script, or at its end what Python calls then."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return None if frame is None else frame.f_code


def _finish() -> None:
    if (run := current()) is not None:
        state, code, message = _script.end
        run.finish(state=state, exit_code=code, message=message)


def _check_labels(name: str | None, tags: Sequence[str], group: str | None) -> None:
    if name is not None and not NAME.fullmatch(name):
        raise ValueLogError(
            f"a run cannot be called {name!r}",
            hint="Names have 1 to 100 letters, digits, spaces and . - _, and begin with a letter or digit.",
        )
    labels = [*([tags] if isinstance(tags, str) else tags), *([] if group is None else [group])]
    if isinstance(tags, str) or len(tags) > MAX_TAGS or not all(map(_is_label, labels)):
        raise ValueLogError(
            f"tags are {tags!r}, the group {group!r}",
            hint=f"Give at most {MAX_TAGS} tags; tags and groups have 1 to {MAX_LABEL} characters.",
        )


def _is_label(text: object) -> bool:
    return isinstance(text, str) and 0 < len(text) <= MAX_LABEL and "\0" not in text
