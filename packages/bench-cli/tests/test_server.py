"""`bench server`."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_tools import PASSWORD, Cli, Result, Server, error, finish
from free_ports import free_port


@pytest.fixture
def data(cli: Cli, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    yield folder
    cli("server", "stop", "--data", str(folder))


def test_the_life_of_a_server(cli: Cli, data: Path) -> None:
    at, port, web_port = ["--data", str(data)], free_port(), free_port()
    web = f"http://localhost:{web_port}"
    ready = f"Bench is ready on http://localhost:{port}\nWeb: {web}\nData: {data}\n"
    started = cli("server", "start", *at, "--port", str(port), "--web-port", str(web_port))
    assert started == Result(0, ready, "")
    status = json.loads(cli("server", "status", *at, "--json").stdout)
    pid = status["pid"]
    assert status == {
        "running": True,
        "pid": pid,
        "endpoint": f"http://localhost:{port}",
        "fingerprint": None,
        "web_url": web,
        "addresses": [f"unix:{data}/rpc.sock", f"127.0.0.1:{port}"],
        "start_time": status["start_time"],
        "uptime_seconds": status["uptime_seconds"],
        "version": "0.1.0",
        "data": str(data),
        "in_background": True,
        "answers": True,
    }
    shown = cli("server", "status", *at)
    uptime = re.search(r"Up for: +(.+)\n", shown.stdout)
    assert uptime is not None
    assert shown == Result(
        0,
        "State:       running\n"
        f"Process:     {pid}\n"
        f"Endpoint:    http://localhost:{port}\n"
        "Fingerprint: none: it is in clear, for this machine only\n"
        f"Web:         {web}\n"
        f"Addresses:   unix:{data}/rpc.sock, 127.0.0.1:{port}\n"
        f"Up for:      {uptime[1]}\n"
        "Version:     0.1.0\n"
        f"Data:        {data}\n",
        "",
    )
    second = cli("server", "start", *at)
    message = f"a server runs with {data} already (process {pid})"
    assert second == Result(1, "", error(message, "Stop it, or name another folder with --data."))
    assert cli("server", "restart", *at) == Result(0, ready, "")
    again = cli("server", "status", *at, "-q").stdout.strip()
    assert again != str(pid)
    assert cli("server", "stop", *at) == Result(0, f"Stopped the server (process {again}).\n", "")
    assert cli("server", "stop", *at) == Result(0, f"No server runs with {data}.\n", "")
    assert cli("server", "status", *at) == Result(1, f"No server runs with {data}.\n", "")
    assert json.loads(cli("server", "status", *at, "--json").stdout) == {"running": False, "data": str(data)}
    none = error(f"no server runs with {data}", "Start it: `bench server start`.")
    assert cli("server", "restart", *at) == Result(1, "", none)

    said = f"Bench is ready on http://localhost:{port}\nWeb: {web}\nData: {data}\n"
    whole = cli("server", "logs", *at).stdout
    assert re.sub(r".* starting\n", "", whole) == said * 2
    assert cli("server", "logs", *at, "--tail", "1") == Result(0, f"Data: {data}\n", "")
    assert cli("server", "logs", *at, "--tail", "0") == Result(0, "", "")


def test_following_the_log(cli: Cli, data: Path) -> None:
    cli("server", "createuser", "ada", "--password-stdin", "--data", str(data), stdin=PASSWORD)
    none = f"no server has run in the background with {data}"
    assert cli("server", "logs", "--data", str(data)) == Result(
        1, "", error(none, "Start it: bench server start")
    )
    log = data / "server.log"
    log.write_text("one\n")
    with cli.in_terminal("server", "logs", "--follow", "--data", str(data)) as terminal:
        terminal.expect_exact("one\r\n")
        with log.open("a") as file:
            file.write("two\n")
        terminal.expect_exact("two\r\n")
        log.write_text("")
        log.write_text("three\n")
        terminal.expect_exact("three\r\n")
        terminal.sendintr()
        code, shown = finish(terminal)
    assert (code, shown.replace("^C", "").strip()) == (130, "")


def test_starts_that_fail(cli: Cli, server: Server, data: Path, tmp_path: Path) -> None:
    port = server.endpoint.rpartition(":")[2]
    taken = cli("server", "start", "--data", str(data), "--port", port, "--web-port", str(free_port()))
    assert (taken.code, taken.stdout) == (1, "")
    assert taken.stderr.startswith(f"Error: cannot listen on 127.0.0.1:{port}")
    assert taken.stderr.endswith("\nHint: Is another server there? Name another port.\n")

    nonsense = cli("server", "start", "--data", str(data), BENCH_DATABASE_URL="nonsense://")
    assert (nonsense.code, nonsense.stdout) == (1, "")
    assert nonsense.stderr.startswith("Error: BENCH_DATABASE_URL is no URL of a PostgreSQL database\nHint: ")

    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "django.py").write_text("raise RuntimeError('a broken installation')")
    crashed = cli("server", "start", "--data", str(data), PYTHONPATH=str(tmp_path / "broken"))
    assert (crashed.code, crashed.stdout) == (1, "")
    log = (data / "server.log").read_text()
    said = error("the server ended before it was ready", f"Its log: {data}/server.log")
    assert crashed.stderr == log[log.rindex("Traceback") :] + said

    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").write_text("")
    foreign = cli("server", "start", "--data", str(tmp_path / "foreign"))
    assert (foreign.code, foreign.stderr.count("\n")) == (1, 2)
    assert "thesis.tex" in foreign.stderr
    assert cli("server", "start", "--port", "0") == Result(
        2,
        "",
        error(
            "invalid value for '--port': 0 is not in the range 1<=x<=65535", "See: bench server start --help"
        ),
    )
    none = cli("server", "status", "--data", str(tmp_path / "absent"))
    assert none.stderr.startswith(f"Error: {tmp_path}/absent is not a server's data folder\nHint: ")


def test_the_foreground(cli: Cli, data: Path) -> None:
    port, web_port = free_port(), free_port()
    command = [sys.executable, "-m", "bench_cli", "server", "start", "--foreground", "--data", str(data)]
    ports = ["--port", str(port), "--web-port", str(web_port)]
    with subprocess.Popen(
        [*command, *ports], env=cli.environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"Bench is ready on http://localhost:{port}\n"
        assert process.stderr.readline() == f"Web: http://localhost:{web_port}\n"
        assert process.stderr.readline() == f"Data: {data}\n"
        process.terminate()
        assert process.wait(60) == 0


def test_ctrl_c_while_it_starts(cli: Cli, data: Path) -> None:
    ports = ["--port", str(free_port()), "--web-port", str(free_port())]
    with cli.in_terminal("server", "start", "--data", str(data), *ports) as terminal:
        while not (data / "server.lock").exists():
            pass
        terminal.sendintr()
        code, _ = finish(terminal)
    assert code == 130
    assert cli("server", "status", "--data", str(data)).code == 1


def test_accounts(cli: Cli, data: Path) -> None:
    at = ["--data", str(data)]
    create = ["server", "createuser", *at]
    made = Result(0, "Made the account ada.\n", "")
    assert cli(*create, "ada", "--owner", "--password-stdin", stdin=f"{PASSWORD}\n") == made
    again = error("there is a user 'Ada'", "Take another name.")
    assert cli(*create, "Ada", "--password-stdin", stdin=PASSWORD) == Result(1, "", again)
    nobody = error("there is no terminal to ask for a password at", "Pipe it in: --password-stdin")
    assert cli(*create, "bob") == Result(1, "", nobody)
    with cli.in_terminal(*create, "bob") as terminal:
        for question in ("Password: ", "The same again: "):
            terminal.expect_exact(question)
            terminal.sendline(PASSWORD)
        assert finish(terminal) == (0, "\nMade the account bob.\n")
    invited = cli("server", "invite", *at, "--json")
    document = json.loads(invited.stdout)
    assert sorted(document) == ["expire_time", "invitation"]
    assert document["invitation"].startswith("bench_i_")
    assert (data.stat().st_mode & 0o777, (data / "bench.sqlite3").stat().st_mode & 0o777) == (0o700, 0o600)


def test_the_data(cli: Cli, data: Path, tmp_path: Path) -> None:
    at = ["--data", str(data)]
    cli("server", "createuser", "ada", "--password-stdin", *at, stdin=PASSWORD)
    assert cli("server", "check", *at, "--digests") == Result(0, "No problems.\n", "")
    assert json.loads(cli("server", "check", *at, "--json").stdout) == {"ok": True, "problems": []}
    nothing = "0 blobs, 0 unfinished uploads, 0 folders of deleted runs, 0 cached files "
    nothing += "and 0 layers of images, 0 B"
    assert cli("server", "gc", *at) == Result(0, f"{nothing} that nothing needs.\n", "")
    assert cli("server", "gc", *at, "--delete") == Result(0, f"Removed {nothing}.\n", "")
    parts = [row.split("  ")[0] for row in cli("server", "disk", *at).stdout.splitlines()]
    assert parts == ["KIND", "database", "blobs", "uploads", "backups", "free on the disk"]
    assert [part["kind"] for part in json.loads(cli("server", "disk", *at, "--json").stdout)] == parts[1:]
    assert cli("server", "quota", *at) == Result(0, "", "There is no project.\n")

    backup, restored = tmp_path / "backup", tmp_path / "restored"
    copied = f"Copied the database and 0 new blobs into {backup}.\n"
    assert cli("server", "backup", str(backup), *at) == Result(0, copied, "")
    assert cli("server", "restore", str(backup), "--data", str(restored)) == Result(
        0, f"Restored {restored}.\n", f"Look it over: bench server check --digests --data {restored}\n"
    )
    twice = cli("server", "restore", str(backup), "--data", str(restored))
    message, hint = f"{restored} is not empty", "Name another folder with --data, or move it away."
    assert twice == Result(1, "", error(message, hint))


def test_damage_is_an_error(cli: Cli, data: Path) -> None:
    at = ["--data", str(data)]
    cli("server", "createuser", "ada", "--password-stdin", *at, stdin=PASSWORD)
    import sqlite3

    digest = "0" * 64
    with sqlite3.connect(data / "bench.sqlite3") as database:
        database.execute(
            "INSERT INTO datasets_blob (digest, size_bytes, create_time) VALUES (?, 1, 0)", [digest]
        )
    database.close()
    found = cli("server", "check", *at)
    assert found == Result(
        1,
        f"blob {digest}: missing\n",
        error("problems: 1", "Restore a backup, or push the datasets again."),
    )


def test_quotas(ada: Cli, server: Server, project: str) -> None:
    project_id = json.loads(ada("project", "show", project, "--json").stdout)["id"]
    at = ["--data", str(server.data)]
    listed = json.loads(ada("server", "quota", project_id, "1.5GB", *at, "--json").stdout)
    [mine] = [each for each in listed if each["project_id"] == project_id]
    assert (mine["quota_bytes"], mine["creator"], mine["stored_bytes"]) == (1_500_000_000, "ada", 0)
    assert "May take:  1.5 GB" in ada("project", "show", project).stdout
    lines = [
        " ".join(line.split()) for line in ada("server", "quota", project_id, "0", *at).stdout.splitlines()
    ]
    assert f"{project} 0 B no limit ada {project_id}" in lines
    assert ada("server", "quota", project_id, *at) == Result(
        2, "", error("no size is given", "See: bench server quota --help")
    )
    assert ada("server", "quota", project_id, "much", *at) == Result(
        2, "", error("'much' is no size: such as 500MB, 20GB, 1.5TB", "See: bench server quota --help")
    )


def test_a_package_that_is_missing(cli: Cli) -> None:
    hide = cli.work / "hide"
    hide.mkdir()
    (hide / "sitecustomize.py").write_text(
        "import sys\n"
        "for name in ('bench_server', 'bench_agent', 'bench_data', 'bench_track'):\n"
        "    sys.modules[name] = None\n"
    )
    environment = {"PYTHONPATH": os.fspath(hide)}
    assert cli("server", "status", **environment) == Result(
        1,
        "",
        error(
            "bench-server is not installed",
            "In a clone of Bench: pip install"
            " ./packages/bench-data ./packages/bench-track ./packages/bench-agent ./packages/bench-server",
        ),
    )
    assert cli("data", "list", **environment) == Result(
        1,
        "",
        error(
            "bench-data is not installed",
            "In a clone of Bench: pip install"
            " ./packages/bench-data ./packages/bench-track ./packages/bench-agent",
        ),
    )
    assert cli("--version", **environment).code == 0
