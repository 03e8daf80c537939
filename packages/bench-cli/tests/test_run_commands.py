"""`bench run`, `logs`, `stop`, `resume` and `runs`, against a real server."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_tools import Cli, Result, Server, error, finish
from run_driver import Driver, running_driver

UNKNOWN = "01920000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def driver(server: Server) -> Iterator[Driver]:
    with running_driver(server.data) as made:
        yield made


@pytest.fixture
def folder(ada: Cli, project: str) -> Path:
    """A project's folder, with one file beside its settings."""
    shown = json.loads(ada("project", "show", project, "--json").stdout)
    (ada.work / "bench.toml").write_text(f'[project]\nid = "{shown["id"]}"\nname = "{project}"\n')
    (ada.work / "TrainScript.py").write_text("print('training')\n")
    return ada.work


def submit(ada: Cli, name: str, *arguments: str) -> None:
    assert ada("run", "-q", "--name", name, *arguments) == Result(0, f"{name}\n", "")


def test_a_run_of_the_code_as_it_is(ada: Cli, folder: Path, project: str) -> None:
    made = ada("run", "--name", "wide")
    assert (made.code, made.stdout) == (0, "wide is queued.\n")
    assert re.sub(r" *\d+ bytes", " SIZE", made.stderr) == (
        f"Project {project}\n"
        "  sends 2 files, SIZE; the largest:\n"
        " SIZE  bench.toml\n"
        " SIZE  TrainScript.py\n"
        "  sent SIZE\n"
        "Follow it: bench logs -f wide\n"
    )
    again = ada("run")
    assert (again.code, again.stdout) == (0, "run-2 is queued.\n")
    assert re.sub(r" *\d+ bytes", " SIZE", again.stderr) == (
        f"Project {project}\n  2 files, SIZE: the server has them\nFollow it: bench logs -f run-2\n"
    )
    assert ada("run", "--name", "wide", "-q") == Result(
        1, "", error("the project has a run 'wide'", "Take another name, or delete that run.")
    )
    (folder / "id_rsa").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert ada("run", "-q") == Result(
        1,
        "",
        error(
            "not sent: id_rsa looks like a secret",
            "Name in .benchignore what is not to be sent, or say yes with --yes.",
        ),
    )


def test_what_is_asked_for_is_what_is_run(ada: Cli, folder: Path) -> None:
    toml = folder / "bench.toml"
    toml.write_text(
        toml.read_text() + '[run]\ncommand = "python train.py"\nretry = 2\n[run.environment]\nA = "1"\n'
    )
    words = [
        "--cpus",
        "0.5",
        "--memory",
        "2GB",
        "--tag",
        "b",
        "--tag",
        "a",
        "--group",
        "g",
        "--max-hours",
        "0.5",
    ]
    made = ada("run", "--json", "--name", "wide", *words, "--env", "B=x=y", "--", "sh", "-c", "exit 3")
    document = json.loads(made.stdout)
    assert document == {
        "run_id": document["run_id"],
        "name": "wide",
        "state": "queued",
        "reason": None,
        "message": None,
        "waiting_for": None,
        "exit_code": None,
        "tags": ["a", "b"],
        "group": "g",
        "parent_run_id": None,
        "creator": "ada",
        "create_time": document["create_time"],
        "spec": {
            "bundle_digest": document["spec"]["bundle_digest"],
            "datasets": [],
            "command": ["sh", "-c", "exit 3"],
            "environment": {"A": "1", "B": "x=y"},
            "gpu_count": 0,
            "cpu_millis": 500,
            "memory_bytes": 2_000_000_000,
            "grace_seconds": 60,
            "limit_seconds": 1800,
            "retry_count": 2,
            "project_version_number": None,
            "git_commit": None,
            "is_dirty": False,
        },
        "attempts": [
            {
                "attempt_number": 1,
                "state": "queued",
                "reason": None,
                "message": None,
                "waiting_for": None,
                "exit_code": None,
                "image_id": None,
                "engine": None,
                "stopper": None,
                "create_time": document["attempts"][0]["create_time"],
                "start_time": None,
                "end_time": None,
                "last_contact_time": None,
                "log_bytes": 0,
                "log_truncated": False,
            }
        ],
    }
    said: dict[str, object] = {"config": {}, "summary": {}}
    assert json.loads(ada("runs", "show", "--json").stdout) == document | said
    assert json.loads(ada("runs", "list", "--json").stdout) == [document]


def test_a_run_of_a_version(ada: Cli, folder: Path) -> None:
    toml = folder / "bench.toml"
    toml.write_text(toml.read_text() + '[run]\ncommand = "python old.py"\n')
    (folder / "Datasets").mkdir()
    (folder / "Datasets" / "ProjectDatasets.py").write_text("def main():\n    open('was-run', 'w')\n")
    assert ada("migrate", "-q").stdout == "1\n"
    (folder / "was-run").unlink()
    toml.write_text(toml.read_text().replace("old.py", "new.py"))
    version = json.loads(ada("version", "show", "--json").stdout)
    spec = json.loads(ada("run", "--version", "1", "--json").stdout)["spec"]
    assert (spec["bundle_digest"], spec["project_version_number"]) == (version["bundle_digest"], 1)
    assert spec["command"] == ["python", "old.py"]
    now = json.loads(ada("run", "--json").stdout)["spec"]
    assert (now["command"], now["project_version_number"]) == (["python", "new.py"], None)
    assert not (folder / "was-run").exists()
    missing = ada("run", "--version", "2")
    assert (missing.code, missing.stdout) == (1, "")


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        (("succeeded", "the training returned 0", 0), 0, "succeeded."),
        (
            ("failed_exit", "the training returned 3", 3),
            100,
            "failed: the training returned 3 (failed_exit, exit code 3).",
        ),
        (("stopped", "ada stopped it", None), 103, "stopped: ada stopped it (stopped)."),
    ],
)
def test_a_run_is_followed_to_its_end(
    ada: Cli, folder: Path, driver: Driver, end: tuple[str, str, int | None], code: int, said: str
) -> None:
    with ada.in_terminal("run", "--follow", "--name", "wide", columns=200) as terminal:
        terminal.expect_exact("wide: waits for its turn\r\n")
        driver.wait_for("wide", "waits for 1 GPU: none is free")
        terminal.expect_exact("wide: waits for 1 GPU: none is free\r\n")
        driver.move("wide", "building")
        terminal.expect_exact("wide: its image is being made\r\n")
        driver.build("wide", "Step 1\n")
        terminal.expect_exact("Step 1\r\n")
        driver.move("wide", "starting", "running")
        terminal.expect_exact("wide: runs\r\n")
        driver.say("wide", " 50%")
        terminal.expect_exact(" 50%")
        driver.say("wide", "\r100%\ndone\n")
        terminal.expect_exact("\r100%\r\ndone\r\n")
        driver.end("wide", *end)
        assert finish(terminal) == (code, f"wide {said}\n")
    again = ada("logs", "-f", "wide")
    assert again == Result(code, "100%\ndone\n", f"wide {said}\n")


def test_ctrl_c_leaves_the_run_alone(ada: Cli, folder: Path, driver: Driver) -> None:
    submit(ada, "wide")
    driver.move("wide", "building", "starting", "running")
    driver.say("wide", "so far\n")
    for since, text, after in ((0, "so far", 7), (7, "more", 12)):
        with ada.in_terminal("logs", "-f", "wide", "--since", str(since), columns=200) as terminal:
            terminal.expect_exact(f"{text}\r\n")
            assert "so far" not in terminal.before
            terminal.sendintr()
            code, said = finish(terminal)
        hint = f"Follow it from here: bench logs -f wide --since {after}. Stop it: bench stop wide\n"
        assert (code, said[said.index("wide goes") :]) == (130, f"wide goes on. {hint}")
        driver.say("wide", "more\n")
    assert json.loads(ada("runs", "show", "--json").stdout)["state"] == "running"


def test_a_second_attempt_is_followed_too(ada: Cli, folder: Path, driver: Driver) -> None:
    submit(ada, "wide", "--retry", "1")
    driver.move("wide", "building", "starting", "running")
    driver.say("wide", "first\n")
    with ada.in_terminal("logs", "wide", "-f", columns=200) as terminal:
        terminal.expect_exact("first\r\n")
        driver.end("wide", "lost", "its container is gone", None)
        terminal.expect_exact("wide, attempt 2: waits for its turn\r\n")
        driver.move("wide", "building", "starting", "running")
        driver.say("wide", "second\n")
        terminal.expect_exact("second\r\n")
        driver.end("wide", "succeeded", "the training returned 0", 0)
        assert finish(terminal)[0] == 0
    assert ada("logs").stdout == "second\n"
    assert ada("logs", "--attempt", "1").stdout == "first\n"
    assert ada("logs", "--attempt", "3").code == 1


def test_parts_of_a_log(ada: Cli, folder: Path, driver: Driver) -> None:
    assert ada("logs") == Result(1, "", error("the project has no run yet", "Make one: bench run"))
    submit(ada, "wide")
    assert ada("logs") == Result(0, "", "")
    assert ada("logs", "--tail", "3") == Result(0, "", "")
    driver.build("wide", "Step 1\n")
    driver.move("wide", "building", "starting", "running")
    many = "".join(f"line {number}\n" for number in range(20_000))
    driver.say("wide", many)
    assert ada("logs", "wide") == Result(0, many, "")
    assert ada("logs", "--build") == Result(0, "Step 1\n", "")
    assert ada("logs", "--tail", "2").stdout == "line 19998\nline 19999\n"
    assert ada("logs", "--tail", "15000").stdout == many[many.index("line 5000\n") :]
    assert ada("logs", "--tail", "30000").stdout == many
    assert ada("logs", "--tail", "0").stdout == ""
    assert ada("logs", "--since", str(len(many) - 6)).stdout == "19999\n"
    behind = ada("logs", "--since", str(len(many) + 1))
    assert (behind.code, behind.stderr[:7]) == (1, "Error: ")


def test_stop_resume_and_repeat(ada: Cli, folder: Path, driver: Driver) -> None:
    submit(ada, "wide", "--tag", "a")
    refused = ada("resume", "wide")
    assert (refused.code, refused.stderr) == (
        1,
        error("wide has not ended: it is queued", "Stop it first: `bench stop wide`."),
    )
    assert ada("stop", "wide") == Result(0, "wide stopped: ada stopped it before it began (stopped).\n", "")
    assert ada("resume", "wide") == Result(
        0, "wide, attempt 2, is queued.\n", "Follow it: bench logs -f wide\n"
    )
    driver.move("wide", "building", "starting", "running")
    assert ada("stop", "wide") == Result(0, "wide is being stopped.\n", "")
    driver.end("wide", "stopped", "ada stopped it", None)
    first = json.loads(ada("runs", "show", "wide", "--json").stdout)
    assert ada("runs", "rerun", first["run_id"], "--name", "again", "-q") == Result(0, "again\n", "")
    again = json.loads(ada("runs", "show", "again", "--json").stdout)
    assert (again["parent_run_id"], again["spec"]) == (first["run_id"], first["spec"])
    assert again["tags"] == ["a"]
    for verb in ("stop", "resume", "logs"):
        assert ada(verb, "nobody").code == 1
    assert ada("runs", "list", "-q", "--state", "queued") == Result(0, "again\n", "")
    assert ada("runs", "list", "-q", "--limit", "1") == Result(0, "again\n", "")
    assert ada("runs", "list", "--tag", "b") == Result(0, "", "No run is like that.\n")
    rows = [line.split() for line in ada("runs", "list").stdout.splitlines()]
    assert rows[0] == ["NAME", "STATE", "MADE", "TOOK", "BY", "CODE", "TAGS", "ID"]
    assert [row[:2] for row in rows[1:]] == [["again", "queued"], ["wide", "stopped"]]


def without_chance(text: str) -> str:
    """The same, with ids, times and digests as words."""
    for pattern, word in (
        (r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME"),
        (r"bundle [0-9a-f]{12}", "bundle DIGEST"),
        (r"ran \d+ s", "ran T s"),
    ):
        text = re.sub(pattern, word, text)
    return text


def test_what_is_shown_of_a_run(ada: Cli, folder: Path, driver: Driver) -> None:
    submit(ada, "wide")
    driver.move("wide", "building", "starting", "running")
    driver.say("wide", "12345\n")
    driver.end("wide", "failed_exit", "the training returned 1", 1)
    shown = ada("runs", "show")
    assert without_chance(shown.stdout) == (
        "Name:     wide\n"
        "Id:       ID\n"
        "State:    wide failed: the training returned 1 (failed_exit, exit code 1).\n"
        "Made:     TIME\n"
        "By:       ada\n"
        "Command:  python TrainScript.py\n"
        "Code:     bundle DIGEST\n"
        "Datasets: none\n"
        "May use:  all CPUs, the server's share of memory, no GPU\n"
        "Tags:     none\n"
        "Group:    none\n"
        "Repeats:  no other run\n"
        "Config:   none\n"
        "Summary:  none\n"
        "Attempts:\n"
        "  1: failed; the training returned 1; ran T s; log 6 B\n"
    )


def test_what_a_run_left(ada: Cli, folder: Path, driver: Driver) -> None:
    submit(ada, "wide")
    driver.leave("wide", "output/models/best.pt", "weights")
    driver.leave("wide", "output/notes.txt", "")
    assert ada("runs", "artifacts", "-q") == Result(0, "output/models/best.pt\noutput/notes.txt\n", "")
    only = ada("runs", "artifacts", "wide", "--only", "*.pt", "--json")
    [document] = json.loads(only.stdout)
    assert document == {**document, "path": "output/models/best.pt", "size_bytes": 7}
    fetch = ["runs", "artifacts", "wide", "--download", "results"]
    assert ada(*fetch) == Result(0, "2 files, 7 B, in results; 2 had to be fetched.\n", "")
    assert (folder / "results" / "output" / "models" / "best.pt").read_text() == "weights"
    assert ada(*fetch) == Result(0, "2 files, 7 B, in results; 0 had to be fetched.\n", "")


def test_delete(ada: Cli, folder: Path, driver: Driver) -> None:
    submit(ada, "wide")
    assert ada("runs", "delete", "wide", "--yes").code == 1
    ada("stop", "wide")
    question = "Delete the run wide with its logs and files?"
    assert ada("runs", "delete", "wide") == Result(
        1, "", error(f"there is no terminal to ask at: {question}", "With --yes it is done without asking.")
    )
    assert ada("runs", "delete", "wide", "--yes") == Result(0, "Deleted the run wide.\n", "")
    assert ada("runs", "list") == Result(0, "", "The project has no run yet. Make one: bench run\n")


def test_secrets(ada: Cli, folder: Path, project: str) -> None:
    assert ada("secret", "list") == Result(0, "", "There are no secrets. Keep one: bench secret set NAME\n")
    assert ada("secret", "set", "KEY", stdin="value\n") == Result(
        0, f"Runs of {project} have KEY from now on.\n", ""
    )
    with ada.in_terminal("secret", "set", "MINE", "--user", columns=200) as terminal:
        terminal.expect_exact("Value of MINE: ")
        terminal.sendline("hidden")
        assert finish(terminal) == (0, "\nYour runs have MINE from now on.\n")
    ada("secret", "set", "JSON", "--file", stdin="{}\n")
    listed = json.loads(ada("secret", "list", "--json").stdout)
    assert [(secret["name"], secret["scope"], secret["form"]) for secret in listed] == [
        ("JSON", "project", "file"),
        ("KEY", "project", "environment"),
        ("MINE", "user", "environment"),
    ]
    assert ada("secret", "set", "BENCH_X", stdin="x").code == 1
    assert ada("secret", "set", "EMPTY", stdin="\n").code == 1
    assert (
        ada("secret", "delete", "KEY", "--yes").stdout
        == f"Deleted the secret KEY of the runs of {project}.\n"
    )
    assert ada("secret", "delete", "KEY", "--yes").code == 1
    assert ada("secret", "delete", "MINE", "--user", "--yes").code == 0
    assert ada("secret", "list", "-q") == Result(0, "JSON\n", "")
