"""`python manage.py --makemigrations` against a real server: what it says, and what is there afterwards."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bench_auth
import pytest
from agent_tools import Server, running_server
from bench_core import ProjectFileError, read_project
from bench_deploy import (
    MigrateOptions,
    NotSentError,
    ProjectVersions,
    diff_versions,
    migrate,
    plan_bundle,
    start_project,
)
from bench_deploy.bundle import packed
from migrate_tools import DATASETS, add_samples, manage, start, versions
from stream_tools import cache_at


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as made:
        yield made


pytestmark = pytest.mark.usefixtures("server")

FIRST = """\
Project first
1. Datasets
train: 40 samples, 0.0 MB in 1 chunks (1 written, 0 kept) in T s
train: loading test passed (40 samples) in T s
train: version 1, 0.0 MB uploaded
train from the server: loading test passed (40 samples) in T s
2. Code
  sends 11 files, SIZE; the largest:
"""

UNCHANGED_DATA = """\
1. Datasets
train: nothing changed (40 samples in 1 chunks)
train: loading test passed before
train: version 1, the server has it
train from the server: loading test passed before
"""


def test_the_whole_way(tmp_path: Path) -> None:
    folder = start(tmp_path, "first").folder
    said = manage(folder, "--message", "begin")
    assert said.startswith(FIRST)
    assert said.endswith(
        """\
  does not send:
    .bench/ (never code)
    Datasets/__pycache__/ (never code)
    data/ (.benchignore, line 2)
  sent SIZE
3. Version
  Version 1: 11 files of code, train version 1.
"""
    )
    version = versions(folder).get(1)
    assert (version.message, version.creator, version.git_commit) == ("begin", "ada", "")
    assert [(pin.dataset, pin.version_number) for pin in version.datasets] == [("train", 1)]

    assert manage(folder) == (
        f"Project first\n{UNCHANGED_DATA}2. Code\n  11 files, SIZE: the server has them\n"
        "3. Version\n  Nothing changed: version 1 is the latest.\n"
    )
    assert manage(folder, "--dry-run") == (
        "Project first\n1. Datasets\ntrain: nothing changed (40 samples in 1 chunks)\n"
        "2. Code\n  11 files, SIZE: the server has them\n"
        "3. Version\n  version 1 would stay; this was a dry run: nothing was changed\n"
    )

    (folder / "TrainScript.py").write_text("changed\n")
    (folder / "new.py").write_text("new\n")
    (folder / "requirements.txt").unlink()
    assert manage(folder) == (
        f"Project first\n{UNCHANGED_DATA}2. Code\n  sends 11 files, SIZE\n"
        "  does not send .bench/, Datasets/__pycache__/, data/\n  sent SIZE\n"
        "3. Version\n  Version 2: 11 files of code, train version 1.\n"
    )
    assert [version.version_number for version in versions(folder).all()] == [2, 1]


def test_ten_samples_more_send_one_chunk(tmp_path: Path) -> None:
    folder = start(tmp_path, "more").folder
    manage(folder)
    add_samples(folder, 40, 10)
    dry = manage(folder, "--dry-run")
    assert "train: 10 of 50 samples would be written, 1 chunks would stay\n" in dry
    assert dry.endswith("  would make version 2; this was a dry run: nothing was changed\n")
    assert versions(folder).get(0).version_number == 1
    said = manage(folder)
    assert "train: 50 samples, 0.0 MB in 2 chunks (1 written, 1 kept) in T s\n" in said
    assert said.endswith("Version 2: 11 files of code, train version 2.\n")


def test_a_dataset_that_is_not_kept_here(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = start(tmp_path, "streamed").folder
    text = DATASETS.replace('"train")', '"train", keep_chunks=False)')
    (folder / "Datasets" / "ProjectDatasets.py").write_text(text)
    with cache_at(tmp_path_factory.mktemp("cache")):
        said = manage(folder)
        assert said.startswith(
            """\
Project streamed
1. Datasets
train: 40 samples, 0.0 MB in 1 chunks (1 written, 0 kept) in T s
train: version 1, 0.0 MB uploaded
train from the server: loading test passed (40 samples) in T s
2. Code
"""
        )
        assert said.endswith("  Version 1: 11 files of code, train version 1.\n")
        assert list(folder.rglob("*.zip")) == []
        unchanged = "train: nothing changed (40 samples in 1 chunks)\n"
        assert manage(folder).startswith(
            f"Project streamed\n1. Datasets\n{unchanged}train: version 1, the server has it\n"
            "train from the server: loading test passed before\n2. Code\n"
        )
        assert manage(folder, "--dry-run").startswith(f"Project streamed\n1. Datasets\n{unchanged}2. Code\n")
        add_samples(folder, 40, 10)
        assert "train: 50 samples, 0.0 MB in 2 chunks (1 written, 1 kept)" in manage(folder)
    assert versions(folder).get(0).datasets[0].version_number == 2


def test_a_dry_run_before_anything_was_made(tmp_path: Path) -> None:
    folder = start(tmp_path, "dry").folder
    said = manage(folder, "--dry-run")
    assert said.startswith(
        "Project dry\n1. Datasets\ntrain: 40 of 40 samples would be written, 0 chunks would stay\n2. Code\n"
    )
    assert said.endswith("  would make version 1; this was a dry run: nothing was changed\n")
    assert versions(folder).latest() is None
    assert not (folder / ".bench" / "datasets").exists()


def test_two_versions_are_compared(tmp_path: Path) -> None:
    folder = start(tmp_path, "compared").folder
    manage(folder)
    (folder / "TrainScript.py").write_text("changed\n")
    (folder / "new.py").write_text("new\n")
    (folder / "requirements.txt").unlink()
    add_samples(folder, 40, 1)
    manage(folder)
    there = versions(folder)
    old, new = ((there.get(number), there.files(number)) for number in (1, 2))
    diff = diff_versions(old, new)
    assert [file.path for file in diff.added] == ["new.py"]
    assert [file.path for file in diff.removed] == ["requirements.txt"]
    assert [(before.path, after.size) for before, after in diff.changed] == [("TrainScript.py", 8)]
    assert [(change.dataset, change.old, change.new) for change in diff.datasets] == [("train", 1, 2)]
    with pytest.raises(bench_auth.NotFoundError, match="compared has no version 3"):
        there.get(3)


BROKEN = {
    "1 / 0\n": """\
Error: Datasets/ProjectDatasets.py: ZeroDivisionError: division by zero
  File "Datasets/ProjectDatasets.py", line 1, in <module>
    1 / 0
""",
    "def main():\n    helper()\n\n\ndef helper():\n    open('nothing')\n": """\
Error: Datasets/ProjectDatasets.py: FileNotFoundError: [Errno 2] No such file or directory: 'nothing'
  File "Datasets/ProjectDatasets.py", line 2, in main
    helper()
  File "Datasets/ProjectDatasets.py", line 6, in helper
    open('nothing')
Hint: Mend the path, or migrate where the data is: nobody has done so yet.
""",
    "x =\n": """\
Error: Datasets/ProjectDatasets.py: SyntaxError: invalid syntax
File "Datasets/ProjectDatasets.py", line 1
    x =
""",
    "x = 1\n": "Error: Datasets/ProjectDatasets.py: there is no function main()\n",
    "import nothing_of_that_name\n": """\
Error: Datasets/ProjectDatasets.py: ModuleNotFoundError: No module named 'nothing_of_that_name'
  File "Datasets/ProjectDatasets.py", line 1, in <module>
    import nothing_of_that_name
Hint: Install it, and name it in requirements.txt: PYTHON -m pip install ...
""",
    "import sys\n\n\ndef main():\n    sys.exit('no data')\n": """\
Error: Datasets/ProjectDatasets.py: it ended the program (no data)
  File "Datasets/ProjectDatasets.py", line 5, in main
    sys.exit('no data')
""",
    "import os\n\n\ndef main():\n    os.kill(os.getpid(), 9)\n": """\
Error: the process that ran Datasets/ProjectDatasets.py was ended from outside (-9)
Hint: -9 is often the system, out of memory. The same call goes on from there.
""",
    DATASETS.replace("return [self", "return ['gone.txt', self"): """\
Error: Datasets/ProjectDatasets.py: sample 0, 'gone.txt': No such file or directory
  File "Datasets/ProjectDatasets.py", line 26, in main
    process_datasets(Texts("data/train"), TextsChunk, "train")
Hint: What was written is kept; the same call goes on from there.
""",
}


def without_marks(text: str) -> str:
    """Python 3.11 and later underline in tracebacks, and the places of some differ."""
    return re.sub(r"^ +[~^]+ *\n", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_the_users_mistakes(tmp_path: Path, text: str) -> None:
    folder = start(tmp_path, f"broken {list(BROKEN).index(text)}", samples=1).folder
    (folder / "Datasets" / "ProjectDatasets.py").write_text(text)
    said = without_marks(manage(folder, expect=1)).replace(sys.executable, "PYTHON")
    assert said == f"Project {read_project(folder).name}\n1. Datasets\n{BROKEN[text]}"
    assert versions(folder).latest() is None


def test_what_is_whole_on_the_server_is_not_sent_again_after_a_mistake(tmp_path: Path) -> None:
    folder = start(tmp_path, "half").folder
    module = folder / "Datasets" / "ProjectDatasets.py"
    module.write_text(DATASETS + "    raise ValueError('later')\n")
    assert "ValueError: later" in manage(folder, expect=1)
    assert versions(folder).latest() is None
    module.write_text(DATASETS)
    assert "train: version 1, the server has it\n" in manage(folder)


def test_a_bundle_that_was_sent_before_a_break_is_not_sent_again(tmp_path: Path) -> None:
    folder = start(tmp_path, "broke off").folder
    (folder / ".benchignore").write_text("data/\n")
    with packed(plan_bundle(folder)) as bundle:
        versions(folder).upload(bundle)
        versions(folder).upload(bundle)  # and again is fine
    said = manage(folder)
    assert "2. Code\n  11 files, SIZE: the server has them\n" in said
    assert said.endswith("Version 1: 11 files of code, train version 1.\n")


def clone(folder: Path, target: Path) -> Path:
    """As git would: without what is ignored."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns(".bench", "data", "__pycache__"))
    return target


def test_a_colleague_without_the_data_keeps_its_version(tmp_path: Path) -> None:
    folder = start(tmp_path / "mine", "shared").folder
    manage(folder)
    theirs = clone(folder, tmp_path / "theirs")
    (theirs / "TrainScript.py").write_text("theirs\n")
    said = without_marks(manage(theirs))
    assert said == (
        """\
Project shared
1. Datasets
  Datasets/ProjectDatasets.py: FileNotFoundError: [Errno 2] No such file or directory: 'data/train'
    File "Datasets/ProjectDatasets.py", line 26, in main
      process_datasets(Texts("data/train"), TextsChunk, "train")
    File "Datasets/ProjectDatasets.py", line 10, in __init__
      self._paths = sorted(os.path.join(folder, name) for name in os.listdir(folder))
  train: not made here; version 1 stays
2. Code
  sends 11 files, SIZE
  does not send Datasets/__pycache__/
  sent SIZE
3. Version
  Version 2: 11 files of code, train version 1.
"""
    )
    dry = manage(theirs, "--dry-run")
    assert dry.endswith("  version 2 would stay; this was a dry run: nothing was changed\n")
    (theirs / "Datasets" / "ProjectDatasets.py").unlink()  # and where nothing is made at all
    assert "  there is no Datasets/ProjectDatasets.py\n  train: not made here; version 1 stays\n" in manage(
        theirs
    )


def test_one_dataset_here_and_the_other_there(tmp_path: Path) -> None:
    both = DATASETS + '    process_datasets(Texts("data/valid"), TextsChunk, "valid")\n'
    folder = start(tmp_path / "mine", "two sets").folder
    (folder / "Datasets" / "ProjectDatasets.py").write_text(both)
    add_samples(folder, 0, 5, "valid")
    assert manage(folder).endswith("Version 1: 11 files of code, train version 1, valid version 1.\n")
    theirs = clone(folder, tmp_path / "theirs")
    add_samples(theirs, 0, 41)
    said = manage(theirs)
    assert "  valid: not made here; version 1 stays\n" in said
    assert said.endswith("Version 2: 11 files of code, train version 2, valid version 1.\n")


def test_two_who_migrate_at_once_both_get_a_version(tmp_path: Path) -> None:
    folder = start(tmp_path / "0", "at once").folder
    manage(folder)
    folders = [clone(folder, tmp_path / str(number)) for number in range(1, 4)]
    for number, place in enumerate(folders):
        (place / "TrainScript.py").write_text(f"number {number}\n")
    with ThreadPoolExecutor(3) as threads:
        said = list(threads.map(manage, folders))
    numbers = sorted(int(re.search(r"Version (\d+): ", text)[1]) for text in said)  # type: ignore[index]
    assert numbers == [2, 3, 4]
    there = list(versions(folder).all())
    assert [version.version_number for version in there] == [4, 3, 2, 1]
    assert len({version.bundle_digest for version in there}) == 4


def test_a_project_that_was_moved(tmp_path: Path) -> None:
    folder = start(tmp_path / "before", "moved").folder
    manage(folder)
    target = tmp_path / "Ünï code" / "and spaces"
    target.parent.mkdir()
    folder.rename(target)
    assert manage(target).endswith("  Nothing changed: version 1 is the latest.\n")


@pytest.mark.needs("git")
def test_the_commit_is_recorded_beside_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    folder = start(tmp_path, "committed").folder
    git = ["git", "-C", str(folder), "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    manage(folder)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    version = versions(folder).get(0)
    assert (version.git_commit, version.is_dirty) == (head.strip(), False)
    (folder / "TrainScript.py").write_text("changed")
    manage(folder)
    assert versions(folder).get(0).is_dirty
    subprocess.run([*git, "commit", "-qam", "the same code, committed"], check=True)
    assert manage(folder).endswith("Nothing changed: version 2 is the latest.\n")


def test_it_is_found_from_below_and_by_the_library(tmp_path: Path) -> None:
    folder = start(tmp_path, "library").folder
    lines: list[str] = []
    options = MigrateOptions(say=lines.append, message="by hand")
    done = migrate(folder / "Models", options)
    assert done.version is not None
    assert (done.version.version_number, done.existed, done.kept) == (1, False, ())
    assert done.sent_bytes == done.version.bundle_bytes
    assert lines[0] == "Project library"
    again = migrate(folder, options)
    assert (again.version, again.existed, again.sent_bytes) == (done.version, True, 0)


def test_secrets_and_much_are_sent_when_somebody_says_so(tmp_path: Path) -> None:
    folder = start(tmp_path, "secret").folder
    (folder / ".env").write_text("PASSWORD=x\n")
    said = manage(folder, expect=1)
    assert said.endswith(
        "Error: not sent: .env looks like a secret\n"
        "Hint: Name in .benchignore what is not to be sent, or say yes with --yes.\n"
    )
    asked: list[str] = []

    def refuse(question: str) -> bool:
        asked.append(question)
        return False

    quiet = MigrateOptions(say=lambda _: None, confirm=refuse)
    with pytest.raises(NotSentError):
        migrate(folder, quiet)
    assert asked == [".env looks like a secret. Send them?"]
    assert versions(folder).latest() is None
    assert manage(folder, "--yes").endswith("Version 1: 12 files of code, train version 1.\n")
    assert manage(folder).endswith(
        "Nothing changed: version 1 is the latest.\n"
    )  # nothing is sent: no question


def test_where_it_cannot_begin(tmp_path: Path, server: Server) -> None:
    with pytest.raises(ProjectFileError, match="is in no project"):
        migrate(tmp_path)
    folder = start_project("begin", tmp_path).folder
    file = folder / "bench.toml"
    text = file.read_text()
    file.write_text(text + 'python = "nothing/python"\n')
    assert manage(folder, expect=1) == (
        "Error: bench.toml says python = 'nothing/python', and there is no such program\n"
        "Hint: Mend it there, or remove the line to use the active environment.\n"
    )
    file.write_text(text + 'python = "true"\n')
    assert re.fullmatch(
        r"Project begin\n1\. Datasets\nError: \S+/true cannot run bench-data \(0\)\n"
        "Hint: Install Bench there, or name another interpreter with `python` in bench.toml.\n",
        manage(folder, expect=1),
    )
    file.write_text(text + 'endpoint = "http://localhost:1"\n')
    assert manage(folder, expect=1) == (
        "Error: there is no login at http://localhost:1\nHint: Log in: `bench login`.\n"
    )
    assert manage(
        folder, "--dry-run", expect=1, BENCH_ENDPOINT="http://localhost:1", BENCH_TOKEN="x"
    ).startswith("Project begin\nError: the server cannot be reached (")
    file.write_text(text + f'endpoint = "{server.endpoint}"\n')
    assert ProjectVersions(read_project(folder)).latest() is None
