import os
import socket
from pathlib import Path

import pytest
from bench_deploy.bundle_plan import BundlePlan, PlannedFile, Skipped, plan_bundle, stays_inside
from bench_deploy.errors import BundleError
from project_files import write_files


def sent(plan: BundlePlan) -> list[str]:
    return [file.path for file in plan.files]


def test_defaults_leave_out_what_is_never_code(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        *["a.py", "Models/x.py", "Models/__pycache__/x.cpython-311.pyc", "y.pyc", ".git/HEAD", ".bench/d/x"],
        *["my venv/pyvenv.cfg", "my venv/lib/z.py", "node_modules/a/b.js", "env/cart_pole.py", ".DS_Store"],
    )
    plan = plan_bundle(tmp_path)
    assert sent(plan) == ["Models/x.py", "a.py", "env/cart_pole.py"]
    assert plan.skipped == (
        Skipped(".DS_Store", "never code"),
        Skipped(".bench/", "never code"),
        Skipped(".git/", "never code"),
        Skipped("Models/__pycache__/", "never code"),
        Skipped("my venv/", "a virtual environment"),
        Skipped("node_modules/", "never code"),
        Skipped("y.pyc", "never code"),
    )


def test_rules_are_those_of_gitignore(tmp_path: Path) -> None:
    lines = [
        "# data",
        "",
        "data/",
        "*.ckpt",
        "!keep.ckpt",
        "/only_here.txt",
        "a/**/z",
        r"\!odd",
        "!node_modules/",
    ]
    (tmp_path / ".benchignore").write_text("\n".join(lines))
    write_files(
        tmp_path,
        *["data/1.jpg", "sub/data/2.jpg", "x.ckpt", "sub/keep.ckpt", "only_here.txt", "sub/only_here.txt"],
        *["a/b/c/z", "a/z", "!odd", "data.py", "node_modules/mine.js"],
    )
    plan = plan_bundle(tmp_path)
    assert sent(plan) == [
        *[".benchignore", "data.py", "node_modules/mine.js", "sub/keep.ckpt", "sub/only_here.txt"],
    ]
    assert {skipped.path: skipped.reason for skipped in plan.skipped} == {
        "data/": ".benchignore, line 3",
        "sub/data/": ".benchignore, line 3",
        "x.ckpt": ".benchignore, line 4",
        "only_here.txt": ".benchignore, line 6",
        "a/b/c/z": ".benchignore, line 7",
        "a/z": ".benchignore, line 7",
        "!odd": ".benchignore, line 8",
    }


def test_gitignore_counts_only_where_there_is_no_benchignore(tmp_path: Path) -> None:
    write_files(tmp_path, "made.py", "a.py")
    (tmp_path / ".gitignore").write_text("made.py\n")
    assert sent(plan_bundle(tmp_path)) == [".gitignore", "a.py"]
    assert plan_bundle(tmp_path).skipped == (Skipped("made.py", ".gitignore, line 1"),)
    (tmp_path / ".benchignore").write_text("")
    assert sent(plan_bundle(tmp_path)) == [".benchignore", ".gitignore", "a.py", "made.py"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"ok\n!\n", "HERE/.benchignore, line 2: "),
        (b"caf\xe9", "HERE/.benchignore: it is not UTF-8"),
    ],
)
def test_an_ignore_file_that_cannot_be(tmp_path: Path, data: bytes, expected: str) -> None:
    (tmp_path / ".benchignore").write_bytes(data)
    with pytest.raises(BundleError) as caught:
        plan_bundle(tmp_path)
    assert caught.value.message.replace(str(tmp_path), "HERE").startswith(expected)


def test_links_inside_are_kept_and_others_are_not(tmp_path: Path) -> None:
    write_files(tmp_path, "a/b.py")
    links = {
        "inside": "a/b.py",
        "a/up": "../a",
        "dangling": "nothing",
        "absolute": str(tmp_path / "a"),
        "outside": "../elsewhere",
        "a/sneaky": "../a/../../x",
    }
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    plan = plan_bundle(tmp_path)
    assert plan.files == (
        PlannedFile("a/b.py", 7),
        PlannedFile("a/up", 4, target="../a"),
        PlannedFile("dangling", 7, target="nothing"),
        PlannedFile("inside", 6, target="a/b.py"),
    )
    assert [(skipped.path, skipped.reason) for skipped in plan.skipped] == [
        ("a/sneaky", "a link that leaves the project: ../a/../../x"),
        ("absolute", f"a link that leaves the project: {tmp_path / 'a'}"),
        ("outside", "a link that leaves the project: ../elsewhere"),
    ]


@pytest.mark.parametrize("target", ["", "/x", "..", "a/../../..", "a\\b", "\udce9"])
def test_links_that_leave(target: str) -> None:
    assert not stays_inside("a/link", f"../{target}" if target == ".." else target)


def test_odd_files_are_named(tmp_path: Path) -> None:
    write_files(tmp_path, "Ünï code/ñ 文.py", "a\\b.py")
    os.close(os.open(os.fsencode(tmp_path) + b"/caf\xe9.py", os.O_CREAT))
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(tmp_path)
        listening.bind("socket")
        plan = plan_bundle(tmp_path)
    assert sent(plan) == ["Ünï code/ñ 文.py"]
    assert [(skipped.path, skipped.reason) for skipped in plan.skipped] == [
        ("a\\b.py", "its name has a backslash"),
        ("caf\\udce9.py", "its name is not UTF-8"),
        ("pipe", "neither a file, a folder nor a link"),
        ("socket", "neither a file, a folder nor a link"),
    ]


def test_secrets_are_noticed(tmp_path: Path) -> None:
    names = [
        ".env",
        ".env.local",
        ".env.example",
        "keys/id_rsa",
        "keys/id_rsa.pub",
        "x.pem",
        "environment.py",
    ]
    write_files(tmp_path, *names)
    assert plan_bundle(tmp_path).secrets == [".env", ".env.local", "keys/id_rsa", "x.pem"]


def test_much_is_noticed_and_too_much_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, *(f"pets/{n}.jpg" for n in range(5)), "a.py")
    with (tmp_path / "big.bin").open("wb") as file:
        file.truncate(20_000_000)
    plan = plan_bundle(tmp_path)
    assert plan.is_much
    assert [file.path for file in plan.largest] == ["big.bin", "a.py", *(f"pets/{n}.jpg" for n in range(5))]
    (tmp_path / "big.bin").unlink()
    assert not plan_bundle(tmp_path).is_much
    monkeypatch.setattr("bench_deploy.bundle_plan.MANY_FILES", 5)
    assert plan_bundle(tmp_path).is_much
    monkeypatch.setattr("bench_deploy.bundle_plan.MAX_FILES", 5)
    with pytest.raises(BundleError) as caught:
        plan_bundle(tmp_path)
    assert str(caught.value).replace(str(tmp_path), "HERE") == (
        "HERE has 6 files with 0.0 MB, and code at most 5 with 536.9 MB; "
        "the largest: pets/ (0.0 MB), a.py (0.0 MB)\n"
        "Hint: Name in .benchignore what is not code; data goes into a dataset."
    )
