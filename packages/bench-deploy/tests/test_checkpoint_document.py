"""checkpoint.json comes from a training, and may say anything."""

import json
from typing import Any

import pytest
from bench_deploy.checkpoint_document import read_document
from bench_deploy.errors import CheckpointError

SHA = "ab" * 32


def document(*paths: Any, **fields: Any) -> bytes:
    files = [{"path": path, "size": 3, "sha256": SHA} for path in paths]
    return json.dumps({"version": 1, "step": 5, "files": files, **fields}).encode()


def test_its_files_are_read() -> None:
    found = read_document(document("a.pt", "b/c.pt", "b/d"))
    assert [(file.path, file.size, file.sha256) for file in found] == [
        ("a.pt", 3, SHA),
        ("b/c.pt", 3, SHA),
        ("b/d", 3, SHA),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b"\xff",
        document(),
        document("a", version=2),
        document("a", files=None),
        document("a", files=["a"]),
        document("../a"),
        document("/a"),
        document("a//b"),
        document("a/./b"),
        document("a\0"),
        document("\ud800"),
        document("x" * 1001),
        document(""),
        document(7),
        document(["a"]),
        document("checkpoint.json"),
        document("a", "a"),
        document("a", "a/b"),
        document("a/b", "a"),
        document("checkpoint.json/a"),
        *[
            document(files=[{"path": "a", "size": 3, "sha256": SHA, **odd}])
            for odd in (
                {"size": -1},
                {"size": True},
                {"size": 1 << 63},
                {"size": "3"},
                {"sha256": SHA.upper()},
                {"sha256": None},
                {"path": None},
            )
        ],
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(CheckpointError):
        read_document(data)
