"""What every engine does. A new engine joins by a rig of its own."""

import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import engine_rigs
import pytest
from bench_deploy.engine import ContainerState, Limits
from bench_deploy.errors import EngineError
from engine_rigs import LABEL, LIMITS, Rig

KINDS = ["fake", "process", pytest.param("docker", marks=pytest.mark.needs("dockerd"))]


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    if request.param == "docker":
        yield request.getfixturevalue("docker")
        return
    with engine_rigs.rig(request.param, tmp_path) as made:
        yield made


def test_a_container_runs_and_ends(rig: Rig) -> None:
    spec = rig.spec()
    assert rig.engine.inspect(spec.name) is None

    rig.engine.submit(spec)
    running = rig.engine.inspect(spec.name)
    assert running is not None
    assert (running.name, running.state, running.exit_code) == (spec.name, ContainerState.RUNNING, None)
    assert dict(running.labels).items() >= spec.labels.items()

    rig.finish(spec.name, 7)
    ended = rig.ended(spec.name)
    assert (ended.state, ended.exit_code, ended.error) == (ContainerState.EXITED, 7, "")
    assert not ended.out_of_memory


def test_submit_leaves_what_is_there(rig: Rig) -> None:
    spec = rig.spec()
    rig.engine.submit(spec)
    rig.engine.submit(spec)
    rig.finish(spec.name, 3)
    assert rig.ended(spec.name).exit_code == 3
    rig.engine.submit(spec)
    assert rig.ended(spec.name).exit_code == 3
    assert len(rig.engine.list(LABEL, rig.session)) == 1


def test_many_submit_the_same_and_one_runs(rig: Rig) -> None:
    spec = replace(rig.spec(), name=rig.spec().name)
    threads = [threading.Thread(target=rig.engine.submit, args=(spec,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.state for one in rig.engine.list(LABEL, rig.session)] == [ContainerState.RUNNING]


def test_wait_ends_with_the_container_or_the_time(rig: Rig) -> None:
    spec = rig.spec()
    rig.engine.submit(spec)
    early = rig.engine.wait(spec.name, 0.2)
    assert early is not None
    assert early.state is ContainerState.RUNNING

    timer = threading.Timer(0.2, rig.finish, (spec.name, 0))
    timer.start()
    assert rig.ended(spec.name).exit_code == 0
    timer.join()
    assert rig.ended(spec.name).exit_code == 0


def test_a_signal_reaches_the_command(rig: Rig) -> None:
    spec = rig.spec()
    rig.engine.submit(spec)
    rig.started(spec.name)
    rig.engine.signal(spec.name, signal.SIGTERM)
    assert rig.ended(spec.name).exit_code == 128 + signal.SIGTERM
    rig.engine.signal(spec.name, signal.SIGTERM)
    assert rig.ended(spec.name).exit_code == 128 + signal.SIGTERM


def test_only_sigkill_ends_the_deaf(rig: Rig) -> None:
    spec = rig.spec(deaf=True)
    rig.engine.submit(spec)
    rig.started(spec.name)
    rig.engine.signal(spec.name, signal.SIGTERM)
    deaf = rig.engine.wait(spec.name, 0.3)
    assert deaf is not None
    assert deaf.state is ContainerState.RUNNING
    rig.engine.signal(spec.name, signal.SIGKILL)
    assert rig.ended(spec.name).exit_code == 128 + signal.SIGKILL


def test_remove_kills_and_forgets(rig: Rig) -> None:
    spec = rig.spec()
    rig.engine.submit(spec)
    rig.engine.remove(spec.name)
    assert rig.engine.inspect(spec.name) is None
    assert rig.engine.list(LABEL, rig.session) == []


def test_one_that_is_not_there(rig: Rig) -> None:
    name = rig.spec().name
    rig.engine.signal(name, signal.SIGTERM)
    rig.engine.remove(name)
    assert rig.engine.wait(name, 1) is None
    assert rig.engine.inspect(name) is None


def test_wait_sees_that_it_is_removed(rig: Rig) -> None:
    spec = rig.spec()
    rig.engine.submit(spec)
    timer = threading.Timer(0.2, rig.engine.remove, (spec.name,))
    timer.start()
    seen = rig.engine.wait(spec.name, engine_rigs.PATIENCE_SECONDS)
    assert seen is None or seen.state is ContainerState.EXITED
    timer.join()
    assert rig.engine.inspect(spec.name) is None


def test_list_goes_by_the_label(rig: Rig) -> None:
    specs = [rig.spec(suffix) for suffix in ("2", "1", "3")]
    for spec in specs:
        rig.engine.submit(spec)
    rig.finish(specs[0].name, 0)
    rig.ended(specs[0].name)
    found = rig.engine.list(LABEL, rig.session)
    assert [one.labels["number"] for one in found] == ["1", "2", "3"]
    assert [one.state.value for one in found] == ["running", "exited", "running"]
    assert [one.name for one in rig.engine.list("number", "1") if one.labels[LABEL] == rig.session] == [
        specs[1].name
    ]
    assert rig.engine.list(LABEL, "another") == []


def test_another_process_finds_the_same(rig: Rig) -> None:
    ended, running = rig.spec("1"), rig.spec("2")
    for spec in (ended, running):
        rig.engine.submit(spec)
    rig.finish(ended.name, 5)
    rig.ended(ended.name)

    rig.engine = rig.again()
    assert [(one.name, one.state.value, one.exit_code) for one in rig.engine.list(LABEL, rig.session)] == [
        (ended.name, "exited", 5),
        (running.name, "running", None),
    ]
    rig.engine.submit(running)
    rig.finish(running.name, 6)
    assert rig.ended(running.name).exit_code == 6


def test_a_start_that_fails_says_so_and_can_be_tried_again(rig: Rig) -> None:
    spec = rig.unstartable()
    for _ in range(2):
        with pytest.raises(EngineError, match=r"(?i)not a directory|a mount is not possible"):
            rig.engine.submit(spec)
        made = rig.engine.inspect(spec.name)
        assert made is not None
        assert made.state is ContainerState.CREATED
        assert "not a directory" in made.error.lower()
        assert made.exit_code is None
    before = time.monotonic()
    waited = rig.engine.wait(spec.name, 0.3)
    assert time.monotonic() - before >= 0.3, "one that never ran is not over"
    assert waited == made


def test_limits_are_checked_before_any_engine() -> None:
    with pytest.raises(EngineError, match="memory_bytes is 0"):
        Limits(cpu_millis=LIMITS.cpu_millis, memory_bytes=0)
