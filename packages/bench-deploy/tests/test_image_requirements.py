from pathlib import Path

import pytest
from bench_deploy.errors import ImageError
from bench_deploy.image.requirements import Requirements, read_requirements


def test_files_that_name_each_other_are_one(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "requirements.txt").write_text(
        "# what it needs\n"
        "numpy>=1.26  # arrays\n"
        "-r more/others.txt\n"
        "-c constraints.txt\n"
        "--extra-index-url https://example.org/simple\n"
        "pillow \\\n  ==11.0 --hash=sha256:abc\n"
        "bench-data\n"
        "bench_kit @ git+https://example.org/bench\n"
        "benchmark\n"
        "pkg @ https://example.org/pkg-1.0.zip#egg=pkg\n"
    )
    (tmp_path / "more" / "others.txt").write_text("requests\n--requirement=../last.txt\n")
    (tmp_path / "last.txt").write_text("\ufefftyper; python_version < '3.12'\n", "utf-8")
    (tmp_path / "constraints.txt").write_text("urllib3<3\n")
    assert read_requirements(tmp_path, "requirements.txt") == Requirements(
        packages=(
            "numpy>=1.26",
            "requests",
            "typer; python_version < '3.12'",
            "pillow ==11.0",
            "benchmark",
            "pkg @ https://example.org/pkg-1.0.zip#egg=pkg",
        ),
        constraints=("urllib3<3",),
        options=("--extra-index-url https://example.org/simple",),
        ours=("bench-data", "bench_kit @ git+https://example.org/bench"),
    )


NOT_IN_IMAGE = (
    ", and the project's code is not in its image",
    "List what that needs instead; the code itself runs from its own folder.",
)


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        *(
            (line, f"the requirements have {line!r}{NOT_IN_IMAGE[0]}", NOT_IN_IMAGE[1])
            for line in ("-e .", ".", ".[dev]", "./wheels/x.whl", "/opt/x.whl", "x @ file:///opt/x", "../x")
        ),
        (
            "--trusted-host example.org",
            "the requirements have '--trusted-host example.org', which an image cannot have",
            "Remove the line.",
        ),
        (
            "--index-url=https://me:secret@example.org/simple",
            "an index in the requirements has a password",
            "Set it in the server's environment: UV_INDEX_URL, PIP_INDEX_URL or ~/.netrc.",
        ),
    ],
)
def test_what_an_image_cannot_have(tmp_path: Path, line: str, message: str, hint: str) -> None:
    (tmp_path / "requirements.txt").write_text(f"numpy\n{line}\n")
    with pytest.raises(ImageError) as caught:
        read_requirements(tmp_path, "requirements.txt")
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_nothing_outside_of_the_folder_is_read(tmp_path: Path) -> None:
    inner = tmp_path / "project"
    inner.mkdir()
    (tmp_path / "secret").write_text("hunter2")
    (inner / "link").symlink_to(tmp_path / "secret")
    for path in ("../secret", "link"):
        (inner / "requirements.txt").write_text(f"-r {path}\n")
        with pytest.raises(ImageError, match="is not in the project's folder"):
            read_requirements(inner, "requirements.txt")


def test_a_file_that_names_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-r requirements.txt\n")
    with pytest.raises(ImageError, match="names itself"):
        read_requirements(tmp_path, "requirements.txt")


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        read_requirements(tmp_path, "deploy.txt")
    assert caught.value.message == f"{tmp_path}/deploy.txt: No such file or directory"
