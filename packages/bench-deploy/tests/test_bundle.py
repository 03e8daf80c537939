import os
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench_deploy.bundle import BundleFile, FileKind, check_bundle, packed
from bench_deploy.bundle_plan import plan_bundle
from bench_deploy.errors import BundleError
from bench_deploy.git_state import GitState, git_state
from blake3 import blake3


def project(folder: Path) -> Path:
    (folder / "Models").mkdir(parents=True)
    (folder / "Models" / "ñ 文.py").write_text("x = 1\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o700)
    (folder / "empty.py").touch()
    (folder / "link.py").symlink_to("Models/ñ 文.py")
    return folder


def pack(folder: Path, target: Path) -> str:
    with packed(plan_bundle(folder)) as bundle:
        shutil.copyfile(bundle.path, target)
        assert check_bundle(bundle.path) == bundle.files
        assert bundle.size == target.stat().st_size
        return bundle.digest


def test_the_same_code_is_the_same_bytes_on_every_machine(tmp_path: Path) -> None:
    digest = pack(project(tmp_path / "a"), tmp_path / "a.zip")
    assert digest == "351897644b68d4685ea971486d6d7f739960868bc7a69ce92c20a034a97bd860"
    other = project(tmp_path / "elsewhere" / "b")
    for path in [other, *other.rglob("*")]:
        os.utime(path, (1, 2), follow_symlinks=False)
    (other / "empty.py").chmod(0o600)
    assert pack(other, tmp_path / "b.zip") == digest == blake3((tmp_path / "b.zip").read_bytes()).hexdigest()
    assert list(other.glob(".bench/*")) == []
    (other / "run.sh").chmod(0o600)
    assert pack(other, tmp_path / "c.zip") != digest


def test_a_bundle_lists_its_files(tmp_path: Path) -> None:
    with packed(plan_bundle(project(tmp_path))) as bundle:
        target = "Models/ñ 文.py".encode()
        assert bundle.files == (
            BundleFile("Models/ñ 文.py", FileKind.PLAIN, 6, blake3(b"x = 1\n").hexdigest()),
            BundleFile("empty.py", FileKind.PLAIN, 0, blake3(b"").hexdigest()),
            BundleFile("link.py", FileKind.LINK, len(target), blake3(target).hexdigest()),
            BundleFile("run.sh", FileKind.EXECUTABLE, 10, blake3(b"#!/bin/sh\n").hexdigest()),
        )


@pytest.mark.needs("unzip")
def test_unzip_restores_the_project(tmp_path: Path) -> None:
    pack(project(tmp_path / "a"), tmp_path / "a.zip")
    subprocess.run(["unzip", "-q", tmp_path / "a.zip", "-d", tmp_path / "b"], check=True)
    assert (tmp_path / "b" / "link.py").read_text() == "x = 1\n"
    assert (tmp_path / "b" / "link.py").is_symlink()
    assert stat.S_IMODE((tmp_path / "b" / "run.sh").stat().st_mode) == 0o755
    assert pack(tmp_path / "b", tmp_path / "b.zip") == pack(tmp_path / "a", tmp_path / "a.zip")


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    plan = plan_bundle(project(tmp_path))
    (tmp_path / "run.sh").write_text("longer than before\n")
    with (
        pytest.raises(BundleError, match=r"run.sh changed while it was read\nHint: Run it again\.$"),
        packed(plan),
    ):
        pass
    (tmp_path / "run.sh").unlink()
    with pytest.raises(BundleError, match=r"run\.sh: No such file or directory"), packed(plan):
        pass
    assert list(tmp_path.glob(".bench/*")) == []


def entry(name: str, mode: int = stat.S_IFREG | 0o644, system: int = 3, **fields: Any) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.create_system, made.external_attr = system, mode << 16
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def hostile(*entries: tuple[zipfile.ZipInfo, bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for info, data in entries:
                archive.writestr(info, data)

    return write


def damaged(path: Path) -> None:
    hostile((entry("a.py"), b"x = 123456"))(path)
    path.write_bytes(path.read_bytes().replace(b"123456", b"123457", 1))


def overlapping(path: Path) -> None:
    data = b"x" * 1000
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry("a.py"), data)
        twin = entry("b.py")
        twin.file_size = twin.compress_size = len(data)
        twin.CRC, twin.header_offset = archive.infolist()[0].CRC, 0
        archive.filelist.append(twin)


LINK = stat.S_IFLNK | 0o777


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda path: path.write_bytes(b""), "the bundle is no stored ZIP: File is not a zip file"),
        (lambda path: path.write_bytes(b"PK\5\6" + b"\xff" * 18), "the bundle is no stored ZIP: "),
        (damaged, "the bundle is no stored ZIP: Bad CRC-32 for file 'a.py'"),
        (overlapping, "the bundle's files overlap"),
        (hostile((entry("../a.py"), b"")), "'../a.py' is no path of a file in a project"),
        (hostile((entry("/etc/passwd"), b"")), "'/etc/passwd' is no path of a file in a project"),
        (hostile((entry("a/./b"), b"")), "'a/./b' is no path of a file in a project"),
        (hostile((entry("x" * 1025), b"")), f"{'x' * 200!r} is no path of a file in a project"),
        (hostile((entry("a//b"), b"")), "'a//b' is no path of a file in a project"),
        (hostile((entry("a\\b"), b"")), "'a\\\\b' is no path of a file in a project"),
        (hostile((entry("a/", stat.S_IFDIR | 0o755), b"")), "'a/' is neither a file nor a link"),
        (hostile((entry("a", stat.S_IFCHR | 0o644), b"")), "'a' is neither a file nor a link"),
        (hostile((entry("a", stat.S_IFREG | 0o4755), b"")), "'a' is neither a file nor a link"),
        (hostile((entry("a", system=0), b"")), "'a' is not stored as a bundle's files are"),
        (
            hostile((entry("a", compress_type=zipfile.ZIP_DEFLATED), b"x")),
            "'a' is not stored as a bundle's files are",
        ),
        (hostile((entry("a", LINK), b"/etc")), "'a' is a link that leaves the project"),
        (hostile((entry("a", LINK), b"x/../..")), "'a' is a link that leaves the project"),
        (hostile((entry("a", LINK), b"\xff")), "'a' is a link that leaves the project"),
        (
            hostile((entry("b"), b""), (entry("a"), b"")),
            "the bundle's files are not sorted, or one comes twice",
        ),
        (hostile((entry("a", LINK), b"b"), (entry("a/x"), b"")), "'a/x' lies in a file or a link"),
    ],
)
def test_what_is_no_bundle(tmp_path: Path, write: Callable[[Path], None], expected: str) -> None:
    write(tmp_path / "x.zip")
    with pytest.raises(BundleError) as caught:
        check_bundle(tmp_path / "x.zip")
    assert caught.value.message.startswith(expected)


@pytest.mark.parametrize(("name", "limit"), [("MAX_FILES", 1), ("MAX_BYTES", 9)])
def test_limits_of_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, limit: int) -> None:
    hostile((entry("a"), b"12345"), (entry("b"), b"12345"))(tmp_path / "x.zip")
    monkeypatch.setattr(f"bench_deploy.bundle.{name}", limit)
    with pytest.raises(BundleError, match=r"^the bundle has 2 files with 10 bytes: too many$"):
        check_bundle(tmp_path / "x.zip")


def test_every_cut_and_flipped_byte_is_refused_or_harmless(tmp_path: Path) -> None:
    pack(project(tmp_path / "a"), tmp_path / "a.zip")
    whole = (tmp_path / "a.zip").read_bytes()
    path = tmp_path / "x.zip"
    for at in range(len(whole)):
        for data in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :]):
            path.write_bytes(data)
            try:
                check_bundle(path)
            except BundleError:
                continue


@pytest.mark.needs("git")
def test_git_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) == GitState()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert git_state(tmp_path) == GitState()
    (tmp_path / "a.py").touch()
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    clean = git_state(tmp_path)
    assert len(clean.commit) == 40
    assert not clean.is_dirty
    (tmp_path / "b.py").touch()
    assert git_state(tmp_path) == GitState(clean.commit, is_dirty=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) == GitState()
