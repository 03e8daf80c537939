"""What the process engine does beyond what all engines do: it finds its processes again, and all of them."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from bench_deploy.engine import ContainerState, Mount, ProcessEngine
from bench_deploy.errors import EngineError
from engine_rigs import LABEL, LIMITS, Rig, rig, until


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Rig]:
    with rig("process", tmp_path) as made:
        yield made


# A grandchild with a session, an environment and a parent of its own choice.
FAMILY = """
import os, subprocess, sys, time
script = "import os, time; open('grandchild', 'w').write(str(os.getpid())); time.sleep(600)"
environment = {} if "bare" in sys.argv else None
child = "import subprocess as s, sys; s.Popen([sys.executable, '-c', sys.argv[1]], start_new_session=True)"
subprocess.run([sys.executable, "-c", child, script], env=environment)
while not os.path.exists("grandchild") or not open("grandchild").read():
    time.sleep(0.01)
open("started", "w").close()
if "stay" in sys.argv:
    time.sleep(600)
"""


def family(processes: Rig, *words: str) -> tuple[str, psutil.Process]:
    """A container with a grandchild that left; its name, and the grandchild."""
    spec = processes.command([sys.executable, "-c", FAMILY, *words])
    grandchild = processes.work(spec.name) / "grandchild"
    processes.engine.submit(spec)
    until(lambda: grandchild.exists() and grandchild.read_text() != "")
    return spec.name, psutil.Process(int(grandchild.read_text()))


def runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def first_process(processes: Rig, name: str) -> psutil.Process:
    return psutil.Process(int((processes.folder / "engine" / name / "pid").read_text()))


def test_nothing_is_left_when_the_command_ends(processes: Rig) -> None:
    name, grandchild = family(processes)
    assert processes.ended(name).exit_code == 0
    assert not runs(grandchild)


@pytest.mark.parametrize("bare", ["bare", ""])
def test_sigkill_and_remove_reach_who_left(processes: Rig, bare: str) -> None:
    name, grandchild = family(processes, "stay", bare)
    processes.engine.signal(name, signal.SIGKILL)
    assert processes.ended(name).exit_code == 128 + signal.SIGKILL
    assert not runs(grandchild)

    processes.engine.remove(name)
    (processes.work(name) / "grandchild").unlink()
    name, grandchild = family(processes, "stay", bare)
    processes.engine.remove(name)
    assert not runs(grandchild)


def test_a_first_process_that_is_killed_is_an_end_of_unknown_code(processes: Rig) -> None:
    name, grandchild = family(processes, "stay")
    first_process(processes, name).kill()
    ended = processes.ended(name)
    assert (ended.state, ended.exit_code) == (ContainerState.EXITED, None)
    processes.engine.remove(name)
    assert not runs(grandchild)


def test_the_command_does_not_outlive_its_first_process(processes: Rig) -> None:
    spec = processes.spec()
    processes.engine.submit(spec)
    processes.started(spec.name)
    [command] = first_process(processes, spec.name).children()
    first_process(processes, spec.name).kill()
    until(lambda: not runs(command))


def test_another_process_with_its_number_is_not_taken_for_it(processes: Rig) -> None:
    spec = processes.spec()
    processes.engine.submit(spec)
    processes.started(spec.name)
    first_process(processes, spec.name).kill()
    assert processes.ended(spec.name).state is ContainerState.EXITED

    other = subprocess.Popen(["sleep", "600"])
    try:
        (processes.folder / "engine" / spec.name / "pid").write_text(str(other.pid))
        found = processes.engine.inspect(spec.name)
        assert found is not None
        assert found.state is ContainerState.EXITED
        processes.engine.submit(spec)
        processes.engine.signal(spec.name, signal.SIGKILL)
        processes.engine.remove(spec.name)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


# Many processes submit the same at once, and are killed while they do.
SUBMIT = """
import json, sys
from bench_deploy.engine import ContainerSpec, Limits, ProcessEngine
fields = json.loads(sys.argv[2])
ProcessEngine(sys.argv[1]).submit(ContainerSpec(**{**fields, "limits": Limits(cpu_millis=1, memory_bytes=1)}))
"""


def test_one_runs_whoever_is_killed_while_it_starts(processes: Rig) -> None:
    count = "import os, time; open(f'ran-{os.getpid()}', 'w'); time.sleep(600)"
    spec = processes.command([sys.executable, "-c", count])
    fields = json.dumps({name: value for name, value in vars(spec).items() if name != "limits"})
    command = [sys.executable, "-c", SUBMIT, str(processes.folder / "engine"), fields]
    for milliseconds in range(100, 600, 60):
        started = subprocess.Popen(command, start_new_session=True)
        timer = threading.Timer(milliseconds / 1000, os.killpg, (started.pid, signal.SIGKILL))
        timer.start()
        started.wait()
        timer.cancel()
    processes.engine.submit(spec)
    until(lambda: any(processes.work(spec.name).glob("ran-*")))
    assert len(list(processes.work(spec.name).glob("ran-*"))) == 1
    assert [one.state for one in processes.engine.list(LABEL, processes.session)] == [ContainerState.RUNNING]


def test_the_command_has_this_environment_without_the_servers(
    processes: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATABASE_URL", "secret")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "bench_server.settings")
    monkeypatch.setenv("KEPT", "1")
    write = "import json, os; json.dump(dict(os.environ), open('environment', 'w'))"
    spec = replace(
        processes.command([sys.executable, "-c", write]),
        environment={"GREETING": "hello", "BENCH_OUTPUT": "/x"},
        limits=replace(LIMITS, gpus=("GPU-1", "GPU-2")),
    )
    processes.engine.submit(spec)
    assert processes.ended(spec.name).exit_code == 0
    seen = json.loads((processes.work(spec.name) / "environment").read_text())
    assert (seen["KEPT"], seen["GREETING"], seen["BENCH_OUTPUT"]) == ("1", "hello", "/x")
    assert seen["CUDA_VISIBLE_DEVICES"] == "GPU-1,GPU-2"
    assert not {"BENCH_DATABASE_URL", "DJANGO_SETTINGS_MODULE"} & set(seen)


# What waits for the end of any of its children, and says so.
WATCHFUL = """
import os, time
for _ in range(30):
    if not os.fork():
        time.sleep(600)
open("started", "w").close()
os.wait()
open("noticed", "w").close()
time.sleep(600)
"""


def test_none_of_those_that_are_killed_sees_the_end_of_another(processes: Rig) -> None:
    spec = processes.command([sys.executable, "-c", WATCHFUL])
    processes.engine.submit(spec)
    until((processes.work(spec.name) / "started").exists)
    processes.engine.signal(spec.name, signal.SIGKILL)
    assert processes.ended(spec.name).state is ContainerState.EXITED
    assert not (processes.work(spec.name) / "noticed").exists()


def test_what_the_command_says_is_kept_with_it(processes: Rig) -> None:
    spec = processes.command(["sh", "-c", "echo out; echo err >&2"])
    processes.engine.submit(spec)
    processes.ended(spec.name)
    assert (processes.folder / "engine" / spec.name / "log").read_text() == "out\nerr\n"
    processes.engine.remove(spec.name)
    assert list((processes.folder / "engine").iterdir()) == []


def test_a_program_that_is_not_there(processes: Rig) -> None:
    spec = processes.command(["no-such-program"])
    with pytest.raises(EngineError, match=r"cannot start bench-test-.*No such file.*no-such-program"):
        processes.engine.submit(spec)


def test_a_mount_elsewhere_is_refused(processes: Rig) -> None:
    spec = replace(processes.spec(), mounts=[Mount(source="/a", target="/b")])
    with pytest.raises(EngineError, match=r'"/a" is to be mounted on "/b"'):
        processes.engine.submit(spec)
    assert processes.engine.inspect(spec.name) is None


@pytest.mark.parametrize("name", ["", "../x", ".hidden", "a/b"])
def test_a_name_is_one_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(EngineError, match="cannot be the name"):
        ProcessEngine(tmp_path).inspect(name)


def test_a_folder_that_cannot_be_written_is_said(processes: Rig) -> None:
    (processes.folder / "engine").write_text("a file")
    with pytest.raises(EngineError, match=r"cannot start .*Not a directory"):
        processes.engine.submit(processes.spec())
    (processes.folder / "engine").unlink()
