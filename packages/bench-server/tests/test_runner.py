"""Runs on both engines: a real server, its runner, the agent and the training, each a process."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_tools import DATABASE_VARIABLE
from bench_deploy.engine import Engine
from bench_deploy.engine.docker import DockerEngine
from bench_deploy.engine.process import ProcessEngine
from bench_protos.runs.v1 import runs_pb2 as pb
from runner_tools import Runs, running

ENGINES = ["process", pytest.param("docker", marks=pytest.mark.needs("dockerd"))]


@pytest.fixture(scope="module", params=ENGINES)
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    with running(tmp_path_factory.mktemp("server"), request.param) as found:
        yield found


def test_a_script_is_trained(runs: Runs) -> None:
    run = runs.submit("print('loss', 0.25)")
    attempt = runs.wait(run)
    assert (pb.RunState.Name(attempt.state), attempt.reason) == ("RUN_STATE_SUCCEEDED", "succeeded")
    assert attempt.has_exit_code
    assert attempt.exit_code == 0
    assert attempt.engine == runs.server.engine
    assert runs.log(run) == b"loss 0.25\n"
    assert attempt.log_bytes == 10
    assert attempt.start_time.ToNanoseconds() < attempt.end_time.ToNanoseconds()


ENDS = [
    ("raise SystemExit(3)", "failed_exit", "the training returned 3"),
    ("import os; os.kill(os.getpid(), 11)", "failed_signal", "SIGSEGV ended it"),
    ("import os; os.kill(os.getpid(), 9)", "failed_signal", "SIGKILL ended it"),
    ("boom", "failed_exit", "the training returned 1"),
]


@pytest.mark.parametrize(("script", "reason", "message"), ENDS)
def test_what_the_training_did_is_said(runs: Runs, script: str, reason: str, message: str) -> None:
    attempt = runs.wait(runs.submit(script))
    assert (attempt.state, attempt.reason, attempt.message) == (pb.RUN_STATE_FAILED, reason, message)


def test_a_command_that_is_not_there_is_said(runs: Runs) -> None:
    attempt = runs.wait(runs.submit("", command=["no-such-program"]))
    assert attempt.reason == "command_missing"
    assert "no-such-program" in attempt.message


def test_both_streams_are_the_log_byte_for_byte(runs: Runs) -> None:
    run = runs.submit("import os\nfor i in range(1000): os.write(1 + i % 2, bytes(range(256)))")
    runs.wait(run)
    assert runs.log(run) == bytes(range(256)) * 1000


def test_what_a_training_leaves_is_kept_and_code_is_not_listed(runs: Runs) -> None:
    script = (
        "import os, pathlib\n"
        "(pathlib.Path(os.environ['BENCH_OUTPUT']) / 'model.pt').write_text('weights')\n"
        "pathlib.Path('outputs').mkdir()\n"
        "pathlib.Path('outputs/größe.txt').write_text('here')\n"
        "pathlib.Path('outputs/link').symlink_to('/etc/passwd')\n"
        "pathlib.Path('pipe'); os.mkfifo('pipe')\n"
    )
    run = runs.submit(script)
    assert runs.wait(run).reason == "succeeded"
    assert runs.artifacts(run) == {"output/model.pt": b"weights", "work/outputs/größe.txt": b"here"}


def test_secrets_reach_the_training_and_no_log(runs: Runs) -> None:
    runs.set_secret("API_KEY", b"correct-horse")
    runs.set_secret("SSH_KEY", b"battery-staple", as_file=True)
    script = (
        "import os\n"
        "print(len(os.environ['API_KEY']), os.environ['API_KEY'])\n"
        "print(open(os.environ['SSH_KEY']).read())\n"
    )
    run = runs.submit(script)
    assert runs.wait(run).reason == "succeeded"
    assert runs.log(run) == b"13 *************\n**************\n"
    everything = b"".join(path.read_bytes() for path in runs.folder(run).rglob("*.json"))
    assert b"correct-horse" not in everything


def test_a_stop_lets_the_training_end_by_itself(runs: Runs) -> None:
    script = (
        "import signal, sys, time\n"
        "def end(*_): print('saved', flush=True); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('up', flush=True)\n"
        "time.sleep(600)\n"
    )
    run = runs.submit(script)
    runs.wait_for_log(run, b"up\n")
    runs.stop(run)
    attempt = runs.wait(run)
    assert (attempt.state, attempt.reason) == (pb.RUN_STATE_STOPPED, "stopped")
    assert attempt.message == "ada stopped it"
    assert attempt.stopper == "ada"
    assert runs.log(run) == b"up\nsaved\n"


def test_a_training_that_ignores_a_stop_is_killed(runs: Runs) -> None:
    script = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('up', flush=True)\ntime.sleep(600)\n"
    )
    run = runs.submit(script, grace_seconds=1)
    runs.wait_for_log(run, b"up\n")
    runs.stop(run)
    attempt = runs.wait(run)
    assert (attempt.state, attempt.reason) == (pb.RUN_STATE_STOPPED, "stopped")


def test_a_run_is_stopped_when_its_time_is_over(runs: Runs) -> None:
    attempt = runs.wait(runs.submit("import time; time.sleep(600)", limit_seconds=1, grace_seconds=1))
    assert (attempt.state, attempt.reason) == (pb.RUN_STATE_STOPPED, "max_hours")


def test_a_resumed_run_has_its_files(runs: Runs) -> None:
    script = (
        "import os, pathlib\n"
        "kept = pathlib.Path(os.environ['BENCH_OUTPUT']) / 'count'\n"
        "count = int(kept.read_text()) + 1 if kept.exists() else 1\n"
        "kept.write_text(str(count)); print(count, os.environ['BENCH_ATTEMPT'])\n"
        "raise SystemExit(count == 1)\n"
    )
    run = runs.submit(script)
    assert runs.wait(run).reason == "failed_exit"
    runs.resume(run)
    attempt = runs.wait(run, pb.RUN_STATE_SUCCEEDED)
    assert attempt.attempt_number == 2
    assert runs.log(run) == b"2 2\n"
    assert [a.reason for a in runs.get(run).attempts] == ["failed_exit", "succeeded"]


def test_a_stopped_run_goes_on_from_its_last_step(runs: Runs) -> None:
    script = (
        "import bench_track, json, pathlib, time\n"
        "run = bench_track.init()\n"
        "state = run.resume()\n"
        "if state: print('from', state.step, json.loads(state.path.read_text()))\n"
        "for step in range(state.step + 1 if state else 0, 1_000_000):\n"
        "    pathlib.Path('saved').write_text(str(step))\n"
        "    run.checkpoint('saved', step=step, every=1 if state else 500_000)\n"
        "    if step == 9: print('up', flush=True)\n"
        "    if state: break\n"
        "    time.sleep(0.001)\n"
    )
    run = runs.submit(script)
    runs.wait_for_log(run, b"up\n")
    runs.stop(run)
    attempt = runs.wait(run)
    assert (attempt.state, attempt.exit_code) == (pb.RUN_STATE_STOPPED, 143)
    runs.resume(run)
    runs.wait(run, pb.RUN_STATE_SUCCEEDED)
    said = re.fullmatch(rb"from (\d+) (\d+)\n", runs.log(run))
    assert said
    step = int(said[1])
    assert said[2] == said[1]
    assert step >= 9
    saved = [(one.attempt_number, one.step_number) for one in runs.checkpoints(run)]
    assert saved == [(1, step), (2, step + 1)]


def test_a_second_run_waits_for_the_first_and_says_so(runs: Runs) -> None:
    first = runs.submit("import time; print('up', flush=True); time.sleep(600)")
    runs.wait_for_log(first, b"up")
    second = runs.submit("print('second')")
    deadline = time.monotonic() + 120
    while not runs.last(second).waiting_for and time.monotonic() < deadline:
        time.sleep(0.05)
    cpus = os.cpu_count()
    assert runs.last(second).waiting_for == f"waits for {cpus} CPUs: 0 are free"
    runs.stop(first)
    assert runs.wait(second).reason == "succeeded"


def test_a_queued_run_is_stopped_at_once(runs: Runs) -> None:
    first = runs.submit("import time; print('up', flush=True); time.sleep(600)")
    runs.wait_for_log(first, b"up")
    second = runs.submit("print('second')")
    runs.stop(second)
    assert runs.last(second).reason == "stopped"
    runs.stop(first)
    runs.wait(first)
    assert runs.log(second) == b""


COUNTING = "import time\nfor i in range(100):\n    print(i, flush=True)\n    time.sleep(0.05)\n"


@pytest.mark.parametrize("module", ["bench_server.runner", "bench_server.rpc"])
def test_a_killed_process_of_the_server_is_not_noticed_by_the_training(runs: Runs, module: str) -> None:
    run = runs.submit(COUNTING)
    runs.wait_for_log(run, b"5\n")
    os.kill(runs.server.pid_of(module), signal.SIGKILL)
    attempt = runs.wait(run)
    assert attempt.reason == "succeeded"
    assert attempt.attempt_number == 1
    assert runs.log(run) == b"".join(b"%d\n" % i for i in range(100))


def test_a_restart_of_the_server_is_not_noticed_by_the_training(runs: Runs) -> None:
    run = runs.submit(COUNTING)
    runs.wait_for_log(run, b"5\n")
    runs.server.kill()
    runs.server.start()
    assert runs.wait(run).reason == "succeeded"
    assert runs.log(run) == b"".join(b"%d\n" % i for i in range(100))


def test_a_killed_container_is_said(runs: Runs) -> None:
    run = runs.submit("import time; print('up', flush=True); time.sleep(600)")
    runs.wait_for_log(run, b"up\n")
    engine_of(runs).signal(f"bench-{run}-1", signal.SIGKILL)
    attempt = runs.wait(run)
    assert attempt.reason == "killed"
    assert runs.log(run) == b"up\n"


def test_the_runner_keeps_its_connection_to_the_database(runs: Runs) -> None:
    runs.wait(runs.submit("print(1)"))
    database, pid = str(runs.server.data / "bench.sqlite3"), runs.server.pid_of("bench_server.runner")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:  # the thread of the run that has just ended closes its own
        looks = [open_files(pid, after_seconds=0.02) for _ in range(100)]
        always, ever = frozenset.intersection(*looks), frozenset.union(*looks)
        sockets = {file for file in ever if file.startswith("socket:")}
        if sockets <= always and (DATABASE_VARIABLE in os.environ or database in always):
            return
    raise AssertionError(f"some come and go: {ever - always}; these stay: {always}")


def open_files(pid: int, *, after_seconds: float) -> frozenset[str]:
    """What a process has open, by the kernel's names; a socket that is opened anew has another."""
    time.sleep(after_seconds)
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(descriptor))
    return frozenset(found)


def test_nothing_is_left_behind(runs: Runs) -> None:
    run = runs.submit("print(1)")
    runs.wait(run)
    deadline = time.monotonic() + 120
    while (left := engine_of(runs).list("bench.run", run)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []
    assert [path for path in Path("/dev/shm").glob("bench-*/*") if path.name.startswith(run)] == []
    runs.delete(run)
    assert not runs.folder(run).exists()


def engine_of(runs: Runs) -> Engine:
    """The engine of a server, looked at from beside it."""
    return DockerEngine() if runs.server.engine == "docker" else ProcessEngine(runs.server.data / "processes")
