"""Whose run an adapter logs to, and when one that was begun for it ends."""

import gc
import pickle
from pathlib import Path

import bench_track
import pytest
from adapter_tools import clean, end, root, runs, spool
from bench_track.held_run import HeldRun

__all__ = ["clean", "root", "spool"]  # fixtures


def ends(root: Path) -> list[tuple[str, str | None] | None]:
    return [end(folder) for folder in runs(root)]


def test_the_scripts_run_is_taken_and_never_ended(root: Path) -> None:
    run = bench_track.init()
    for held in (HeldRun(), HeldRun(run=run)):
        assert held.run is run
        held.end()
    assert HeldRun().run is run
    assert ends(root) == [None]


def test_none_is_begun_before_it_is_needed(root: Path) -> None:
    held = HeldRun(group="g", tags=["a"])
    held.release()
    held.end()
    assert not root.exists()
    held.run.log({"a": 1.0})
    assert len(runs(root)) == 1


def test_two_at_once_share_one(root: Path) -> None:
    first, second = HeldRun(), HeldRun()
    assert first.run is second.run
    first.end()
    assert ends(root) == [None], "the second still logs"
    second.end()
    assert ends(root) == [("succeeded", None)]


def test_one_after_the_other_are_two(root: Path) -> None:
    first, second = HeldRun(), HeldRun()
    run = first.run
    first.release()
    assert not run.is_finished
    assert second.run is not run
    assert ends(root) == [("succeeded", None), None]
    first.run.log({"a": 1.0})
    assert ends(root) == [("succeeded", None), None], "while the second is held, the first shares its run"


def test_equal_keys_go_on(root: Path) -> None:
    first = HeldRun("runs/a")
    run = first.run
    first.release()
    assert HeldRun("runs/a").run is run


def test_one_that_is_forgotten_is_released(root: Path) -> None:
    def train() -> None:
        HeldRun().run.log({"a": 1.0})

    train()
    gc.collect()
    train()
    assert ends(root) == [("succeeded", None), None]


def test_one_that_logs_again_holds_again(root: Path) -> None:
    first = HeldRun()
    run = first.run
    first.release()
    assert first.run is run
    assert HeldRun().run is run


@pytest.mark.parametrize(
    ("error", "state"),
    [(ValueError("no"), ("failed", "ValueError: no")), (KeyboardInterrupt(), ("stopped", None))],
)
def test_an_exception_under_way_is_how_it_ended(
    root: Path, error: BaseException, state: tuple[str, str | None]
) -> None:
    def train(held: HeldRun) -> None:
        try:
            held.run.log({"a": 1.0})
            raise error
        finally:
            held.release()

    for held in (HeldRun(), HeldRun()):
        with pytest.raises(type(error)):
            train(held)
    HeldRun().run.log({"a": 1.0})
    assert ends(root) == [state, state, None]


def test_a_failure_that_no_exception_says(root: Path) -> None:
    held = HeldRun()
    held.run.log({"a": 1.0})
    held.end(failed=True)
    assert ends(root) == [("failed", None)]
    held.run.log({"a": 1.0})
    assert ends(root) == [("failed", None), None]


def test_a_servers_run_lasts_as_long_as_the_script(spool: Path) -> None:
    first, second = HeldRun(), HeldRun()
    run = first.run
    first.end()
    assert second.run is run
    assert not run.is_finished


def test_a_spawned_process_takes_up_its_own(root: Path) -> None:
    held = HeldRun(group="g")
    run = held.run
    assert pickle.loads(pickle.dumps(held)).run is run, "in this process, it is the one that goes on"
    run.finish()
    assert pickle.loads(pickle.dumps(held)).run is not run
