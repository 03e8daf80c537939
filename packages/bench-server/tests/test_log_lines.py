"""A log's bytes as lines, and parts of a log that pages show."""

from pathlib import Path

import pytest
from bench_server.runs.log_lines import LINE_BYTES, Line, lines_of
from bench_server.runs.log_windows import (
    HITS,
    WINDOW_BYTES,
    Window,
    search,
    window_after,
    window_at,
    window_before,
)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"", []),
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\n\nunfinished", ["one", "", "unfinished"]),
        (b"  0%|\r 50%|\r100%|\n", ["100%|"]),
        (b"  0%|\r 50%|\r", [" 50%|"]),
        (b"dos\r\nlines\r\n", ["dos", "lines"]),
        (b"\x1b[31mred\x1b[0m and \x1b]0;title\x07plain\n", ["red and plain"]),
        (b"\x00\x01\xff\xfetext\n", ["\ufffd\ufffd\ufffd\ufffdtext"]),
        ("a\u202eb\n".encode(), ["a\ufffdb"]),
        ("gr\xfc\xdfe\n".encode(), ["gr\xfc\xdfe"]),
        (b"<script>alert(1)</script>\n", ["<script>alert(1)</script>"]),
    ],
)
def test_lines_are_what_a_terminal_would_show(data: bytes, shown: list[str]) -> None:
    assert [line.text for line in lines_of(data, 0)] == shown


def test_lines_know_where_they_begin() -> None:
    assert lines_of(b"one\n\ntwo", 100) == [Line(100, "one"), Line(104, ""), Line(105, "two")]


def test_a_long_line_is_shown_as_several() -> None:
    assert [len(line.text) for line in lines_of(b"x" * (2 * LINE_BYTES + 1), 0)] == [LINE_BYTES] * 2 + [1]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Ten times as long as a window."""
    path = tmp_path / "log"
    lines = (f"{number:>7} {'lost' if number % 4000 == 7 else 'found'}\n" for number in range(50_000))
    path.write_text("".join(lines))
    return path


def numbers(window: Window) -> list[int]:
    return [int(line.text.split()[0]) for line in window.lines]


def test_all_of_a_log_is_read_window_by_window(log: Path) -> None:
    seen, offset = [], 0
    while True:
        window = window_after(log, offset)
        assert window.end - window.start <= WINDOW_BYTES
        seen += numbers(window)
        offset = window.after
        if window.end == window.size:
            break
    assert seen == list(range(50_000))


def test_and_backwards(log: Path) -> None:
    seen: list[int] = []
    end = log.stat().st_size
    while end:
        window = window_before(log, end)
        assert window.end - window.start <= WINDOW_BYTES
        seen = numbers(window) + seen
        end = window.start
    assert seen == list(range(50_000))


def test_around_an_offset(log: Path) -> None:
    hit = search(log, "  40007 lost", 0).hits[0]
    window = window_at(log, hit.start)
    assert hit in window.lines
    assert window.lines[0].start < hit.start
    assert window_at(log, 0).start == 0


def test_a_line_that_grows_is_shown_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n 10%|")
    window = window_after(path, 0)
    assert ([line.text for line in window.lines], window.after) == (["one", " 10%|"], 4)
    with path.open("ab") as file:
        file.write(b"\r 20%|\ntwo\n")
    again = window_after(path, window.after)
    assert ([line.text for line in again.lines], again.after) == ([" 20%|", "two"], again.size)


def test_a_log_without_a_line_break_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * (3 * WINDOW_BYTES))
    offset, shown = 0, 0
    while offset < path.stat().st_size and (window := window_after(path, offset)).lines:
        shown += sum(len(line.text) for line in window.lines)
        if window.end == window.size:
            break
        offset = window.after
    assert shown == 3 * WINDOW_BYTES


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    for window in (window_after(tmp_path / "log", 5), window_before(tmp_path / "log", 5)):
        assert (window.lines, window.size, window.after) == ([], 0, 0)
    assert search(tmp_path / "log", "x", 0).is_whole


def test_a_search_finds_each_line_once_whatever_its_case(log: Path) -> None:
    found = search(log, "LOST", 0)
    assert [int(line.text.split()[0]) for line in found.hits] == list(range(7, 50_000, 4000))
    assert found.is_whole


def test_a_search_with_many_hits_goes_on_where_it_was(log: Path) -> None:
    seen, start = [], 0
    while True:
        found = search(log, "found", start)
        assert len(found.hits) <= HITS
        seen += [line.text for line in found.hits]
        if found.is_whole:
            break
        start = found.looked_at
    assert seen == [line for line in log.read_text().splitlines() if line.endswith("found")]
