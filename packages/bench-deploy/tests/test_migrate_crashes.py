"""`manage.py --makemigrations` killed at any moment: the same call then makes the version it should."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_tools import Server, running_server
from bench_deploy import plan_bundle
from bench_deploy.bundle import packed
from crash_tools import (
    kill_at,
    kill_when_there,
    moments,
    processes_in,
    run_to_the_end,
    unfinished_uploads,
    versions_of,
)
from migrate_tools import manage, start, versions

COMMAND = ["manage.py", "--makemigrations"]

SLOW = """
import pathlib
import time


def main():
    pathlib.Path("here").touch()
    time.sleep(600)
"""

PROJECTS = 3
"""Each is killed in another third of the steps."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as made:
        yield made


def test_the_version_of_an_undisturbed_migration_after_kills_at_any_moment(
    server: Server, tmp_path: Path
) -> None:
    undisturbed = start(tmp_path, "undisturbed", 400).folder
    lines = run_to_the_end(COMMAND, undisturbed, BENCH_DATA_ROOT="")
    expected = versions(undisturbed).get(1)
    killed = 0
    for seed in range(PROJECTS):
        started = start(tmp_path, f"killed{seed}", 400)
        folder = started.folder
        for line, seconds in list(moments(seed, lines))[seed::PROJECTS]:
            killed += kill_at(COMMAND, folder, line, seconds, BENCH_DATA_ROOT="")
        manage(folder)

        [made] = versions(folder).all()
        assert made.version_number == 1
        assert made.datasets == expected.datasets
        with packed(plan_bundle(folder)) as bundle:
            assert made.bundle_digest == bundle.digest
        assert len(versions_of(server, started.id)) == 1
        assert [path.name for path in (folder / ".bench" / "datasets").iterdir()] == ["train"]
        assert processes_in(folder) == []
        assert manage(folder).endswith("Nothing changed: version 1 is the latest.\n")
    assert killed >= PROJECTS - 1  # a last line may come with the end
    assert unfinished_uploads(server) == []
    found = server.command("check", "--digests")
    assert (found.returncode, found.stdout) == (0, "No problems.\n"), found


def test_what_a_killed_migration_had_started_ends_with_it(server: Server, tmp_path: Path) -> None:
    folder = start(tmp_path, "slow").folder
    datasets = folder / "Datasets" / "ProjectDatasets.py"
    datasets.write_text(SLOW)
    kill_when_there(COMMAND, folder, folder / "here", BENCH_DATA_ROOT="")
    assert processes_in(folder) == []
