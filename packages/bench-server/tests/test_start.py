"""`bench-server` as its user runs it: real processes, a folder of their own."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import bench_auth
import psutil
import pytest
from free_ports import free_port

PASSWORD = "correct horse battery"
COMMAND = [sys.executable, "-m", "bench_server"]


@pytest.fixture(autouse=True)
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CONFIG_DIR", str(tmp_path / "config"))
    for name in ("BENCH_TOKEN", "BENCH_ENDPOINT", "BENCH_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *arguments], input=stdin, capture_output=True, text=True, timeout=60)


@contextlib.contextmanager
def running(data: Path, port: int, web_port: int | None = None) -> Iterator["subprocess.Popen[str]"]:
    web_port = web_port or free_port()
    process = subprocess.Popen(
        [*COMMAND, "start", "--data", str(data), "--port", str(port), "--web-port", str(web_port)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith("Data:"):
                break
        said = f"Bench is ready on http://localhost:{port}\nWeb: http://localhost:{web_port}\nData: {data}\n"
        assert "".join(lines) == said
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()  # type: ignore[union-attr]


def children(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def child_of(process: "subprocess.Popen[str]", module: str) -> psutil.Process:
    [found] = [child for child in children(process) if module in child.cmdline()]
    return found


def gone(processes: list[psutil.Process], seconds: float = 120) -> bool:
    return not psutil.wait_procs(processes, timeout=seconds)[1]


def test_the_command_imports_nothing_that_its_processes_need() -> None:
    heavy = {"bench_data", "bench_deploy", "bench_track", "django", "docker", "grpc", "numpy"}
    script = f"import sys, bench_server.command; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_first_account_login_logout_and_a_restart(tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()
    endpoint = f"http://localhost:{port}"
    with running(data, port) as process:
        assert bench_auth.server_info(endpoint).can_create_owner
        with pytest.raises(bench_auth.NotLoggedInError, match="there is no login"):
            bench_auth.current_user(endpoint)
        owner = bench_auth.create_owner(endpoint, "ada", PASSWORD)
        assert (owner.username, owner.is_owner) == ("ada", True)
        assert not bench_auth.server_info(endpoint).can_create_owner
        with pytest.raises(bench_auth.NotPossibleError):
            bench_auth.create_owner(endpoint, "bob", PASSWORD)
        process.terminate()
        assert process.wait(120) == 0
    assert not (data / "rpc.sock").exists()
    with running(data, port):
        assert bench_auth.current_user() == owner  # the endpoint is that of the last login
        bench_auth.logout()
        with pytest.raises(bench_auth.NotLoggedInError):
            bench_auth.current_user(endpoint)
        assert bench_auth.login(endpoint, "ada", PASSWORD) == owner


def test_the_pages_are_served_too(tmp_path: Path) -> None:
    port, web_port = free_port(), free_port()
    with running(tmp_path / "data", port, web_port) as process:
        assert "This server is empty" in page(web_port, "/")
        ports = ["--port", str(free_port()), "--web-port", str(web_port)]
        taken = run("start", "--data", str(tmp_path / "two"), *ports)
        assert taken.returncode == 1
        assert f"Error: cannot listen on 127.0.0.1:{web_port}" in taken.stderr
        assert "Name another port with --web-port" in taken.stderr
        bench_auth.create_owner(f"http://localhost:{port}", "ada", PASSWORD)
        assert "Sign in" in page(web_port, "/")
        child_of(process, "bench_server.web").kill()
        assert process.stderr is not None
        assert process.stderr.readline() == "the web process ended (-9); again in 0.5 s\n"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if "Sign in" in page(web_port, "/"):
                    return
        raise AssertionError("it did not come back")


def page(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://localhost:{port}{path}", timeout=60) as answer:
        text: str = answer.read().decode()
        return text


def test_accounts_by_command(tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()
    made = run("createuser", "ada", "--owner", "--password-stdin", "--data", str(data), stdin=f"{PASSWORD}\n")
    assert (made.returncode, made.stdout, made.stderr) == (0, "Made the account ada.\n", "")
    again = run("createuser", "Ada", "--password-stdin", "--data", str(data), stdin=f"{PASSWORD}\n")
    assert (again.returncode, again.stderr) == (1, "Error: there is a user 'Ada'\nHint: Take another name.\n")
    easy = run("createuser", "bob", "--password-stdin", "--data", str(data), stdin="bob\n")
    assert (easy.returncode, easy.stdout) == (1, "")
    nobody = run("createuser", "bob", "--data", str(data))
    assert "--password-stdin" in nobody.stderr
    with running(data, port):
        invited = run("invite", "--data", str(data))
        endpoint = f"unix:{data / 'rpc.sock'}"
        user = bench_auth.accept_invitation(endpoint, invited.stdout.strip(), "bob", PASSWORD)
        assert (user.username, user.is_owner) == ("bob", False)


def test_a_second_server_is_refused(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path / "one", port):
        same_folder = run("start", "--data", str(tmp_path / "one"))
        assert (same_folder.returncode, same_folder.stderr.count("\n")) == (1, 2)
        assert "a server runs with" in same_folder.stderr
        both = ["--port", str(port), "--web-port", str(free_port())]
        same_port = run("start", "--data", str(tmp_path / "two"), *both)
        assert same_port.returncode == 1
        assert f"cannot listen on 127.0.0.1:{port}" in same_port.stderr


def test_a_killed_process_is_started_again(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path / "data", port) as process:
        child_of(process, "bench_server.rpc").kill()
        assert process.stderr is not None
        assert re.fullmatch(r"the rpc process ended \(-9\); again in 0\.5 s\n", process.stderr.readline())
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(bench_auth.UnreachableError):
                if bench_auth.server_info(f"http://localhost:{port}").can_create_owner:
                    return
        raise AssertionError("it did not come back")


def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    with running(tmp_path / "data", free_port()) as process:
        left = children(process)
        assert left
        process.kill()
        assert gone(left)


def test_a_revived_child_ends_with_its_supervisor_too(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path / "data", port) as process:
        child_of(process, "bench_server.rpc").kill()
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(bench_auth.UnreachableError):
                bench_auth.server_info(f"http://localhost:{port}")
                break
        left = children(process)
        assert left
        process.kill()
        assert gone(left)


def test_ctrl_c_ends_all(tmp_path: Path) -> None:
    with running(tmp_path / "data", free_port()) as process:
        left = children(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
        assert gone(left, 0)


def test_checks_of_a_killed_server_are_swept(tmp_path: Path) -> None:
    run("createuser", "ada", "--password-stdin", "--data", str(tmp_path / "data"), stdin=f"{PASSWORD}\n")
    (tmp_path / "data" / "check-abc" / "chunks").mkdir(parents=True)
    with running(tmp_path / "data", free_port()):
        assert not (tmp_path / "data" / "check-abc").exists()


@pytest.mark.parametrize("port", ["0", "65536", "70000", "-1", "http", ""])
def test_ports_that_are_none(tmp_path: Path, port: str) -> None:
    found = run("start", "--data", str(tmp_path / "data"), f"--port={port}")
    assert (found.returncode, f"{port!r} is no port" in found.stderr) == (2, True)
    assert not (tmp_path / "data").exists()


def test_a_failed_login_leaves_the_console_alone(tmp_path: Path) -> None:
    with running(tmp_path / "data", free_port()) as process:
        with pytest.raises(bench_auth.NotLoggedInError):
            bench_auth.login(f"unix:{tmp_path}/data/rpc.sock", "ada", "wrong")
        process.terminate()
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_folders_that_will_not_do(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("")
    found = run("start", "--data", str(foreign))
    assert (found.returncode, "thesis.tex" in found.stderr) == (1, True)
    assert sorted(entry.name for entry in foreign.iterdir()) == ["thesis.tex"]
    absent = run("invite", "--data", str(tmp_path / "absent"))
    assert "is not a server's data folder" in absent.stderr
    long = run("start", "--data", str(tmp_path / ("x" * 100)))
    assert "too long a path" in long.stderr
    file = tmp_path / "file"
    file.write_text("")
    assert "Error:" in run("start", "--data", str(file)).stderr
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "server.json").write_text('{"layout": 2, "server_id": "x"}')
    assert "made by a newer release" in run("start", "--data", str(newer)).stderr


def test_nobody_else_can_look_into_the_folder(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        run("createuser", "ada", "--password-stdin", "--data", str(tmp_path / "data"), stdin=f"{PASSWORD}\n")
    finally:
        os.umask(before)
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "data" / "secret.key").stat().st_mode & 0o777 == 0o600


def test_a_database_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    import sqlite3

    data = tmp_path / "data"
    run("createuser", "ada", "--password-stdin", "--data", str(data), stdin=f"{PASSWORD}\n")
    with contextlib.closing(sqlite3.connect(data / "bench.sqlite3")) as database, database:
        database.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', '9999_x', 0)"
        )
    found = run("invite", "--data", str(data))
    assert (found.returncode, "newer release (accounts.9999_x)" in found.stderr) == (1, True)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("nonsense", "is no URL of a PostgreSQL database"),
        ("sqlite:///other.sqlite3", "is no URL of a PostgreSQL database"),
        ("postgresql://[::1", "cannot be read"),
        ("postgresql://ada:secret@localhost:port/bench", "cannot be read"),
    ],
)
def test_a_database_that_cannot_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, problem: str
) -> None:
    monkeypatch.setenv("BENCH_DATABASE_URL", url)
    done = subprocess.run(
        [*COMMAND, "start", "--data", str(tmp_path / "data")], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (
        1,
        f"Error: BENCH_DATABASE_URL {problem}\n"
        "Hint: It looks like postgresql://USER:PASSWORD@HOST:PORT/NAME; without it the server uses SQLite.\n",
    )
