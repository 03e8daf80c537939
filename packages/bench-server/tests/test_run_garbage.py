"""gc, disk and backup, of what runs leave on the server's disk."""

import os
from pathlib import Path
from uuid import uuid4

import pytest
from bench_server import maintenance
from bench_server.data_folder import DataFolder
from bench_server.datasets.blobs import stored_bytes
from bench_server.runs import log_store, secrets, services
from bench_server.runs.garbage import collect_run_garbage, sizes_by_project
from bench_server.runs.models import Secret
from django.conf import settings
from run_tools import new_run
from server_tools import new_project, new_user

pytestmark = pytest.mark.usefixtures("server_address")


@pytest.fixture
def folder() -> DataFolder:
    found: DataFolder = settings.FOLDER
    return found


def put(path: Path, size: int = 10_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def test_gc_removes_what_deleted_runs_left_and_nothing_else(folder: DataFolder) -> None:
    run = new_run()
    gone = str(uuid4())
    needed = [put(folder.runs / str(run.pk) / "output" / "a"), put(folder.logs / str(run.pk) / "1")]
    needed.append(put(folder.caches / str(run.project_id) / "hub" / "a"))
    needed.append(put(folder.images / "wheels" / "a"))
    left = [place / gone for place in (folder.runs, folder.logs, folder.caches)]
    for path in left:
        put(path / "deep" / "er" / "a")
    found = collect_run_garbage(folder, remove=False)
    assert found.folders >= 3
    assert found.bytes >= 3 * 10_000
    assert all(path.exists() for path in left)
    collect_run_garbage(folder, remove=True)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in needed)
    assert folder.attempts_socket.exists()
    assert collect_run_garbage(folder, remove=False).folders == 0


def test_what_was_not_used_for_longest_leaves_a_cache(folder: DataFolder, tmp_path: Path) -> None:
    cache = folder.caches / str(new_project(new_user()).pk)
    outside = put(tmp_path / "outside")
    files = [put(cache / "hub" / str(number), 1 << 16) for number in range(5)]
    for age, file in enumerate(files):
        os.utime(file, (0, 1_700_000_000 - age))
    os.utime(files[4], (1_800_000_000, 0))  # it was read since
    (cache / "link").symlink_to(outside)
    (cache / "hub" / "folder").symlink_to(tmp_path)
    os.utime(cache / "link", (0, 0), follow_symlinks=False)
    found = collect_run_garbage(folder, remove=True, limit=(3 << 16) + 20_000)  # links take blocks too
    assert found.bytes >= 2 << 16
    assert [file.exists() for file in files] == [True, True, False, False, True]
    assert outside.exists()


def test_disk_tells_projects_apart(folder: DataFolder) -> None:
    run = new_run(new_project(new_user()))
    put(folder.logs / str(run.pk) / "1", 100_000)
    blob = put(folder.path / "a-blob", 1_000_000)
    path = put(folder.runs / str(run.pk) / "output" / "model.pt", 200_000)
    os.link(blob, path.with_name("linked"))
    put(folder.caches / str(run.project_id) / "hub" / "a", 300_000)
    sizes = {(kind, project): size for kind, project, size in sizes_by_project(folder)}
    found = [sizes[kind, run.project.name] for kind in ("logs", "files of runs", "caches")]
    assert [round(size, -5) for size in found] == [100_000, 200_000, 300_000]
    usage = {(part.kind, part.project): part.bytes for part in maintenance.usage(folder)}
    assert usage["logs", run.project.name] == sizes["logs", run.project.name]
    assert usage["blobs", run.project.name] == stored_bytes(run.project) > 0
    blob.unlink()


def test_a_backup_has_logs_and_the_key_of_secrets(folder: DataFolder, tmp_path: Path) -> None:
    from django.db import connection

    if connection.vendor != "sqlite":
        return  # pg_dump copies that database; the command says so
    run = new_run()
    secrets.set_secret(run.project, "TOKEN", Secret.Form.ENVIRONMENT, b"x")
    log_store.append(run.last_attempt, 0, [b"abc"])
    target = tmp_path / "backup"
    maintenance.back_up(folder, target)
    log_store.append(run.last_attempt, 3, [b"def"])
    maintenance.back_up(folder, target)
    assert (target / "logs" / str(run.pk) / "1").read_bytes() == b"abcdef"
    assert (target / "secrets.key").read_bytes() == folder.secrets_key.read_bytes()
    assert (target / "secrets.key").stat().st_mode & 0o777 == 0o600
    assert services.find_run(run.project, run.pk) == run
