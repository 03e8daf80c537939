"""What becomes of a training's log on its way: pure."""

import io

import pytest
from bench_cli.log_output import LINE_BYTES, LastOfLine, LogOutput, start_of_last_lines


def shown(*pieces: bytes) -> bytes:
    lines = LastOfLine()
    return b"".join([*(lines.feed(piece) for piece in pieces), lines.end()])


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (b"", b""),
        (b"one\ntwo\n", b"one\ntwo\n"),
        (b"no end", b"no end"),
        (b"\r  1%\r 50%\r100%\ndone\n", b"100%\ndone\n"),
        (b"  1%\r 50%\r", b" 50%"),
        (b"windows\r\nlines\r\n", b"windows\nlines\n"),
        (b"\n\n\r\r\n", b"\n\n\n"),
        (b"\x00\xff\r\xfe\n", b"\xfe\n"),
    ],
)
def test_carriage_returns_collapse_however_the_log_is_cut(log: bytes, expected: bytes) -> None:
    assert shown(log) == expected
    assert shown(*(log[at : at + 1] for at in range(len(log)))) == expected


def test_lines_without_an_end_are_not_kept_back_for_ever() -> None:
    long = b"x" * (3 * LINE_BYTES)
    lines = LastOfLine()
    assert lines.feed(long) == long
    assert lines.feed(b"y\n") == b"y\n"
    bar = LastOfLine()
    assert bar.feed(b"50%\r" * LINE_BYTES) == b""
    assert bar.feed(b"100%\n") == b"100%\n"


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_whoever_goes_on_behind_what_was_passed_on_misses_nothing(size: int) -> None:
    log = b"one\r1%\r100%\ntwo\n" + b"x" * (2 * LINE_BYTES) + b"\nlast\rend"
    for stop in range(0, len(log), max(size, len(log) // 50)):
        first, second = LastOfLine(), LastOfLine()
        said = b"".join(first.feed(log[at : min(at + size, stop)]) for at in range(0, stop, size))
        rest = log[stop - first.held_bytes :]
        assert said + second.feed(rest) + second.end() == shown(log)


def test_a_file_gets_whole_lines() -> None:
    stream = io.BytesIO()
    output = LogOutput(stream, dim=True)
    output.write(b"1\r2")
    assert stream.getvalue() == b""
    output.write(b"\n3")
    assert stream.getvalue() == b"2\n"
    output.end()
    assert stream.getvalue() == b"2\n3"


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_the_bytes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    LogOutput(terminal).write(b"1\r2")
    assert terminal.getvalue() == b"1\r2"
    LogOutput(terminal, dim=True).write(b"build")
    assert terminal.getvalue() == b"1\r2\x1b[2mbuild\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    LogOutput(terminal, dim=True).write(b"!")
    assert terminal.getvalue().endswith(b"\x1b[0m!")


@pytest.mark.parametrize(
    ("data", "count", "expected"),
    [
        (b"a\nb\nc\n", 1, 4),
        (b"a\nb\nc\n", 2, 2),
        (b"a\nb\nc\n", 3, None),
        (b"a\nb\nc", 1, 4),
        (b"a\nb\nc", 0, 5),
        (b"", 1, None),
        (b"a", 1, None),
    ],
)
def test_where_the_last_lines_begin(data: bytes, count: int, expected: int | None) -> None:
    assert start_of_last_lines(data, count) == expected
