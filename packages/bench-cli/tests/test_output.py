"""The sink, and what every error becomes."""

import json
import subprocess
import sys

import click
import pytest
from bench_cli.errors import report
from bench_cli.output import Column, Mode, Output, printable
from bench_cli.texts import count_text, duration_text, size_text
from bench_core import BenchError

DOCUMENTS = [{"name": "one", "bytes": 1}, {"name": "\x1b[31mtwo", "bytes": 22}]
COLUMNS = [
    Column("NAME", lambda document: document["name"]),
    Column("SIZE", lambda document: str(document["bytes"]), right=True),
]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Mode.HUMAN, "NAME         SIZE\none             1\n\\x1b[31mtwo    22\n"),
        (Mode.QUIET, "one\n\\x1b[31mtwo\n"),
        (Mode.JSON, json.dumps(DOCUMENTS, indent=2) + "\n"),
    ],
)
def test_a_table(mode: Mode, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    Output(mode).table(DOCUMENTS, COLUMNS, empty="Nothing.")
    shown = capsys.readouterr()
    assert ("".join(f"{line.rstrip()}\n" for line in shown.out.splitlines()), shown.err) == (expected, "")


def test_messages_go_beside_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    for mode in Mode:
        Output(mode).note("note")
        Output(mode).warn("warning")
        Output(mode).table([], COLUMNS, empty="Nothing.")
    shown = capsys.readouterr()
    noted = "note\nWarning: warning\n"
    assert (shown.out, shown.err) == ("[]\n", f"{noted}Nothing.\n{noted}Warning: warning\n")


def test_printable() -> None:
    assert printable("Bär 日本\n\x07\x1b]0;title\x07") == "Bär 日本\n\\x07\\x1b]0;title\\x07"


def test_texts() -> None:
    assert [size_text(count) for count in (0, 999, 1000, 99_949, 999_500, 12_300_000, 5 * 10**15)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "99.9 kB",
        "1.0 MB",
        "12.3 MB",
        "5000 TB",
    ]
    assert [count_text(count, "blob") for count in (0, 1, 1200)] == ["0 blobs", "1 blob", "1,200 blobs"]
    assert [duration_text(seconds) for seconds in (0.4, 61, 7_300, 100_000)] == [
        "0 s",
        "1 min 1 s",
        "2 h 1 min",
        "1 d 3 h",
    ]


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (BenchError("it broke", hint="Mend it."), 1, "Error: it broke\nHint: Mend it.\n"),
        (BenchError("it broke"), 1, "Error: it broke\n"),
        (click.UsageError("No such thing."), 2, "Error: no such thing\nHint: See: bench --help\n"),
        (click.FileError("x", hint="gone"), 1, "Error: could not open file 'x': gone\n"),
        (FileNotFoundError(2, "No such file or directory", "x"), 1, "Error: x: No such file or directory\n"),
        (KeyboardInterrupt(), 130, "\n"),
        (click.Abort(), 130, "\n"),
        (
            ZeroDivisionError("division by zero"),
            1,
            "Error: something unforeseen happened (ZeroDivisionError: division by zero)\n"
            "Hint: With BENCH_DEBUG=1 it shows where; please tell us.\n",
        ),
    ],
)
def test_errors(
    error: BaseException,
    code: int,
    lines: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("BENCH_DEBUG", raising=False)
    assert report(error, "bench") == code
    assert capsys.readouterr() == ("", lines)


def test_a_reader_that_has_enough() -> None:
    command = f"{sys.executable} -m bench_cli completion bash | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
