"""A server in the background: real processes, a folder of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bench_auth
import psutil
import pytest
from bench_server import background
from bench_server.data_folder import open_folder
from bench_server.errors import CrashedError, FolderError, ServerError
from bench_server.running import running_server
from free_ports import free_port


def ports() -> list[str]:
    return ["--port", str(free_port()), "--web-port", str(free_port())]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("BENCH_TOKEN", "BENCH_ENDPOINT", "BENCH_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BENCH_CONFIG_DIR", str(tmp_path / "config"))
    folder = tmp_path / "data"
    yield folder
    if (folder / "server.json").exists():
        background.stop(folder)


def test_start_restart_and_stop(data: Path) -> None:
    given = ports()
    port, web_url = given[1], f"http://localhost:{given[3]}"
    started = background.start(data, given)
    assert started.addresses == [f"unix:{data}/rpc.sock", f"127.0.0.1:{port}"]
    assert (started.web_url, started.arguments) == (web_url, ["start", "--data", str(data), *given])
    assert (started.version, started.in_background) == ("0.1.0", True)
    assert bench_auth.server_info(f"http://localhost:{port}").can_create_owner  # ready means ready
    process = started.process()
    assert process is not None
    assert (os.getsid(started.pid), process.cwd()) == (started.pid, str(data))
    children = process.children()

    with pytest.raises(FolderError, match=f"already \\(process {started.pid}\\)"):
        background.start(data)

    again = background.restart(data)
    assert (again.pid == started.pid, again.arguments) == (False, started.arguments)
    assert psutil.wait_procs(children, timeout=120)[1] == []

    assert background.stop(data) == again
    assert again.process() is None
    assert not (data / "running.json").exists()
    assert background.stop(data) is None
    log = (data / "server.log").read_text().splitlines()
    ready = [f"Bench is ready on http://localhost:{port}", f"Web: {web_url}", f"Data: {data}"]
    assert [line for line in log if not line.endswith(" starting")] == ready * 2


def test_a_port_that_is_taken(data: Path, tmp_path: Path) -> None:
    given = ports()
    background.start(data, given)
    with pytest.raises(CrashedError) as caught:
        background.start(tmp_path / "other", [*given[:2], "--web-port", str(free_port())])
    assert caught.value.message.startswith(f"cannot listen on 127.0.0.1:{given[1]}")
    assert caught.value.hint == "Is another server there? Name another port."
    assert caught.value.log_tail == []
    assert running_server(open_folder(tmp_path / "other")) is None


def test_a_crash_without_a_word_shows_the_log(data: Path) -> None:
    open_folder(data, create=True)
    (data / "secret.key").unlink()
    with pytest.raises(CrashedError, match="ended before it was ready") as caught:
        background.start(data)
    assert caught.value.hint == f"Its log: {data}/server.log"
    assert 1 < len(caught.value.log_tail) <= background.TAIL_LINES


def test_what_a_child_said_before_it_ended_is_shown(data: Path) -> None:
    data.mkdir()
    log = data / "server.log"
    log.write_text("starting\nTraceback\n  X: x\nError: the rpc process did not start\nHint: See above.\n")
    error = background._crashed(log, 0)
    assert (error.message, error.hint) == ("the rpc process did not start", "See above.")
    assert error.log_tail == ["Traceback", "  X: x"]


def test_a_process_that_got_the_number_is_left_alone(data: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        started = background.start(data, ports())
        background.stop(data)
        fields = {**started.__dict__, "pid": stranger.pid, "process_start": started.process_start - 60}
        (data / "running.json").write_text(json.dumps(fields))
        assert background.stop(data) is None
        assert stranger.poll() is None
        stranger.communicate(b"\n")
        assert stranger.returncode == 0


def test_a_killed_server_leaves_nothing_in_the_way(data: Path) -> None:
    given = ports()
    killed = background.start(data, given)
    process = killed.process()
    assert process is not None
    children = process.children()
    process.kill()
    process.wait(120)
    psutil.wait_procs(children, timeout=120)
    assert (data / "running.json").exists()
    assert running_server(open_folder(data)) is None
    assert background.start(data, given).pid != killed.pid


def test_a_server_in_the_foreground_is_stopped_and_not_restarted(data: Path) -> None:
    command = [sys.executable, "-m", "bench_server", "start", "--data", str(data), *ports()]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("Data:"):
            pass
        folder = open_folder(data)
        while running_server(folder) is None:
            pass
        with pytest.raises(ServerError, match="was not started in the background"):
            background.restart(data)
        server = background.stop(data)
        assert (server and server.pid, process.wait(120)) == (process.pid, 0)
    with pytest.raises(ServerError, match="no server runs with"):
        background.restart(data)


def test_a_long_log_begins_anew(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "LOG_BYTES", 100)
    monkeypatch.setattr(background, "LOG_LOOK_SECONDS", 0.01)
    log = data / "server.log"
    data.mkdir()
    with log.open("a") as file, background.bounded_log(log):
        file.write("a" * 101)
        file.flush()
        while log.stat().st_size:
            pass
        file.write("b")
    assert (log.read_text(), (data / "server.log.1").read_text()) == ("b", "a" * 101)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="is not a server's data folder"):
        background.stop(tmp_path)
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(FolderError, match=r"thesis\.tex"):
        background.start(tmp_path)
