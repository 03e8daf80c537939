"""backup, restore, check, gc and disk, on a server with data."""

import datetime
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench_data import WriteOptions, write_chunks
from bench_protos.data.v1 import datasets_pb2 as pb
from bench_server.datasets.garbage import collect_garbage
from blake3 import blake3
from test_datasets import Files, Project

DAYS = datetime.timedelta(days=2)


def command(*arguments: object) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-m", "bench_server", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "BENCH_DATABASE_URL"}
    return subprocess.run(words, capture_output=True, text=True, timeout=60, env=environment)


@pytest.fixture
def project(server_address: str) -> Project:
    return Project(server_address)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("dataset")
    write_chunks(Files(place, 5), "train", root=place / "out", options=WriteOptions(workers=1))
    return place / "out" / "train"


def make_old(project: Project) -> None:
    """Two days pass for what the project has."""
    from bench_server.datasets.models import Blob, ProjectBlob
    from django.conf import settings
    from django.utils import timezone

    then = timezone.now() - DAYS
    ProjectBlob.objects.filter(project=project.uuid).update(create_time=then)
    Blob.objects.filter(projects__project=project.uuid).update(create_time=then)
    for part in (settings.FOLDER.path / "uploads" / project.id).glob("*"):
        os.utime(part, (time.time() - DAYS.total_seconds(),) * 2)


def test_gc_removes_what_no_version_needs_and_nothing_else(project: Project, folder: Path) -> None:
    from bench_server.datasets.blobs import the_store

    version = project.stub.CreateVersion(project.push(folder)).version
    needed = sum(found.is_file() for found in folder.rglob("*")) - 2  # the manifest and .lock
    orphan = project.upload(os.urandom(1000))
    make_old(project)
    young = project.upload(os.urandom(10))
    collect_garbage(remove=False)
    assert project.state(orphan) == (1000, True)
    collect_garbage(remove=True)
    assert (project.state(orphan), the_store().size(orphan)) == ((0, False), None)
    assert project.state(young) == (10, True)
    from bench_server.datasets.models import VersionBlob

    assert VersionBlob.objects.filter(version__dataset__project=project.uuid).count() == needed
    assert (
        len(project.download(blake3((folder / "chunks").iterdir().__next__().read_bytes()).hexdigest())) > 0
    )

    request = pb.DeleteVersionRequest(
        project_id=project.id, dataset="train", version_number=version.version_number
    )
    project.stub.DeleteVersion(request)
    collect_garbage(remove=True)
    left = [path for path in folder.rglob("*") if path.suffix in (".zip", ".npz")]
    states = {project.state(blake3(path.read_bytes()).hexdigest()) for path in left}
    assert states == {(0, False)}
    assert project.state(young) == (10, True)


def test_gc_counts_without_removing(server_address: str, project: Project) -> None:
    collect_garbage(remove=True)
    before = collect_garbage(remove=False)
    project.upload(os.urandom(1000))
    digest = blake3(b"unfinished").hexdigest()
    first = pb.UploadBlobRequest(project_id=project.id, digest=digest, size_bytes=10)
    project.stub.UploadBlob(iter([first, pb.UploadBlobRequest(data=b"unfi")]))
    assert collect_garbage(remove=False) == before
    make_old(project)
    found = collect_garbage(remove=False)
    assert (found.blobs, found.parts, found.bytes) == (
        before.blobs + 1,
        before.parts + 1,
        before.bytes + 1004,
    )
    assert project.state(digest) == (4, False)
    collect_garbage(remove=True)
    assert project.state(digest) == (0, False)


def test_a_blob_that_another_project_needs_stays(server_address: str, project: Project) -> None:
    data = os.urandom(100)
    other = Project(server_address)
    digest = project.upload(data)
    other.upload(data)
    make_old(project)
    from bench_server.datasets.models import ProjectBlob
    from django.utils import timezone

    ProjectBlob.objects.filter(project=other.uuid).update(create_time=timezone.now())
    collect_garbage(remove=True)
    assert (project.state(digest), other.download(digest)) == ((0, False), data)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A server's folder with an account and three blobs, made without the server of the other tests."""
    place = tmp_path / "data"
    made = subprocess.run(
        [sys.executable, "-c", MAKE_BLOBS, str(place)], capture_output=True, text=True, timeout=60
    )
    assert made.returncode == 0, made.stderr
    return place


MAKE_BLOBS = """
import os, sys, uuid
os.environ.pop("BENCH_DATABASE_URL", None)
from pathlib import Path
from bench_server.operations import use
use(Path(sys.argv[1]), create=True)
from bench_server.accounts import services
from bench_server.datasets import blobs
from bench_server.projects.services import create_project
from bench_protos.data.v1 import datasets_pb2 as pb
from blake3 import blake3
user = services.create_user("ada", "correct horse battery")
project = create_project(user, "catdog", uuid.uuid4()).project
for data in (b"one", b"two", b"x" * 100_000):
    blobs.receive(project, blake3(data).hexdigest(), len(data), 0, [data])
"""


def blobs_of(data: Path) -> list[Path]:
    return sorted(data.glob("blobs/??/*"))


def test_check_finds_every_kind_of_damage(data: Path) -> None:
    whole = command("check", "--digests", "--data", data)
    assert (whole.returncode, whole.stdout, whole.stderr) == (0, "No problems.\n", "")
    missing, shorter, other = blobs_of(data)
    missing.unlink()
    shorter.chmod(0o600)
    shorter.write_bytes(b"")
    other.chmod(0o600)
    size = other.stat().st_size
    other.write_bytes(b"?" * size)
    found = command("check", "--data", data)
    assert found.returncode == 1
    assert found.stderr.startswith("Error: problems: 2\nHint:")
    found = command("check", "--digests", "--data", data)
    assert [line.rpartition(": ")[2].split(" and")[0] for line in found.stdout.splitlines()] == [
        "missing",
        "has 0 bytes,",
        "its bytes are others",
    ]


def test_a_backup_can_be_restored(data: Path, tmp_path: Path) -> None:
    backup, restored = tmp_path / "backup", tmp_path / "restored"
    made = command("backup", backup, "--data", data)
    assert (made.returncode, made.stdout) == (
        0,
        f"Copied the database and 3 new blobs into {backup}.\n",
    ), made.stderr
    assert (backup.stat().st_mode & 0o777, (backup / "secret.key").stat().st_mode & 0o777) == (0o700, 0o600)
    again = command("backup", backup, "--data", data)
    assert "and 0 new blobs" in again.stdout
    shutil.rmtree(data)
    assert command("restore", backup, "--data", restored).returncode == 0
    assert command("check", "--digests", "--data", restored).stdout == "No problems.\n"
    full = command("restore", backup, "--data", restored)
    assert (full.returncode, "is not empty" in full.stderr) == (1, True)
    none = command("restore", tmp_path, "--data", tmp_path / "new")
    assert (none.returncode, "is no backup" in none.stderr) == (1, True)


def test_disk(data: Path) -> None:
    found = command("disk", "--data", data)
    sizes = {
        line.split(maxsplit=1)[1]: int(line.split()[0].replace(",", "")) for line in found.stdout.splitlines()
    }
    assert (sizes["blobs"], sizes["blobs  catdog"], sizes["uploads"]) == (100_006, 100_006, 0)
    assert sizes["database"] > 0
    assert sizes["free on the disk"] > 0


def test_gc_by_command(data: Path) -> None:
    found = command("gc", "--data", data)
    assert found.stdout == (
        "0 blobs, 0 unfinished uploads, 0 folders of deleted runs, 0 cached files "
        "and 0 layers of images, 0 bytes that nothing needs. Remove them with --delete.\n"
    )


def test_quotas_are_set_and_listed(data: Path) -> None:
    listed = command("quota", "--data", data)
    assert (listed.returncode, listed.stderr) == (0, "")
    project_id, stored, *rest = listed.stdout.split()
    assert (stored, rest) == ("100,006", ["of", "no", "limit", "catdog", "(ada)"])
    changed = command("quota", project_id, "1.5GB", "--data", data)
    assert changed.stdout == listed.stdout.replace("no limit     ", "1,500,000,000")
    assert command("quota", project_id, "0", "--data", data).stdout == listed.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nobody", "1GB"], "Error: there is no project nobody\nHint: `bench-server quota` lists them.\n"),
        (["nonsense"], "Error: no size is given\nHint: Name one, such as 20GB; 0: no limit.\n"),
    ],
)
def test_quotas_that_cannot_be_set(data: Path, words: list[str], message: str) -> None:
    found = command("quota", *words, "--data", data)
    assert (found.returncode, found.stdout, found.stderr) == (1, "", message)


def test_a_size_that_is_none(data: Path) -> None:
    found = command("quota", "x", "many", "--data", data)
    assert found.returncode == 2
    assert "'many' is no size: such as 500MB, 20GB, 1.5TB" in found.stderr
