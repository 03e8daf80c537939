"""`bench metrics --parquet`: the points of a run as a file, whole or not at all."""

import csv
import io
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from bench_auth import AuthError
from bench_cli.errors import CliError
from bench_cli.parquet_file import GROUP_ROWS, SCHEMA, write_parquet
from bench_deploy import Points
from bench_track.records import MAGIC, pack_points, pack_shape
from cli_tools import Cli, Result, error
from uuid6 import uuid7

TIME_NS = 1_700_000_000_250_000_000
STRANGE = [3.0, math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1]


@pytest.fixture
def run(ada: Cli, project: str, tmp_path: Path) -> Cli:
    """A project's folder, and in it the run `wide`: two ranks, some points of each, and more than a block."""
    shown = json.loads(ada("project", "show", project, "--json").stdout)
    (ada.work / "bench.toml").write_text(f'[project]\nid = "{shown["id"]}"\nname = "{project}"\n')
    folder = tmp_path / "tracks" / str(uuid7())
    folder.mkdir(parents=True)
    document = {"version": 1, "run": folder.name, "project": None, "name": "wide", "command": ["train.py"]}
    (folder / "run.json").write_text(json.dumps({**document, "time": time.time_ns()}))
    (folder / "end.json").write_text(json.dumps({"version": 1, "state": "succeeded", "exit_code": 0}))
    for rank in range(2):
        points = [
            pack_points(1, step=2**40 + at, time=TIME_NS + at, values=[STRANGE[at % 7], at / 10 + rank])
            for at in range(600)
        ]
        data = [MAGIC, pack_shape(1, ["train/loss", "Größe"]), *points]
        (folder / f"{rank}-1-5e0c2a91.records").write_bytes(b"".join(data))
    assert ada("track", "sync", str(folder)).code == 0
    return ada


def rows(table: pa.Table) -> list[list[str]]:
    """A table's rows as `--csv` writes them."""
    names = table["series"].cast(pa.string()).to_pylist()
    times = table["time"].cast(pa.int64()).to_pylist()
    columns = [table[name].to_pylist() for name in ("attempt", "rank", "step", "value")]
    return [
        [name, str(attempt), str(rank), str(step), f"{at // 10**9}.{at % 10**9:09}", str(value)]
        for name, at, attempt, rank, step, value in zip(names, times, *columns, strict=True)
    ]


@pytest.mark.parametrize("names", [[], ["Größe"]])
def test_a_file_has_what_csv_has(run: Cli, names: list[str]) -> None:
    chosen = [word for name in names for word in ("--series", name)]
    header, *lines = csv.reader(io.StringIO(run("metrics", "wide", "--csv", *chosen).stdout))
    written = json.loads(run("metrics", "wide", "--parquet", "wide.parquet", "--json", *chosen).stdout)
    path = run.work / "wide.parquet"
    table = pq.read_table(path)
    assert table.schema == SCHEMA
    assert table.column_names == header
    assert rows(table) == lines
    assert len(lines) == (1200 if names else 2400)
    size = path.stat().st_size
    assert written == {"file": "wide.parquet", "point_count": len(lines), "size_bytes": size}
    assert sorted(path.name for path in run.work.iterdir()) == ["bench.toml", "wide.parquet"]


def test_what_is_there_is_left_alone(run: Cli) -> None:
    path = run.work / "wide.parquet"
    path.write_bytes(b"mine")
    refused = error("wide.parquet is there already", "Name a file that is not there yet.")
    assert run("metrics", "wide", "--parquet", path.name) == Result(1, "", refused)
    assert path.read_bytes() == b"mine"
    assert run("metrics", "wide", "--parquet", "no/wide.parquet") == Result(
        1, "", error("no/wide.parquet cannot be written: No such file or directory")
    )
    path.unlink()
    shown = run("metrics", "wide", "--parquet", path.name, "--series", "nobody")
    assert shown == Result(0, f"0 points, {path.stat().st_size} B, in wide.parquet.\n", "")
    assert pq.read_table(path).schema == SCHEMA


def test_without_pyarrow(run: Cli, tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ModuleNotFoundError('no', name='pyarrow')\n")
    assert run("metrics", "wide", "--parquet", "wide.parquet", PYTHONPATH=str(tmp_path)) == Result(
        1, "", error("pyarrow is not installed", "pip install pyarrow")
    )
    assert run("metrics", "wide", "-q", PYTHONPATH=str(tmp_path)).code == 0


def test_csv_and_parquet_exclude_each_other(cli: Cli) -> None:
    assert cli("metrics", "--csv", "--parquet", "wide.parquet") == Result(
        2, "", error("--csv and --parquet exclude each other", "See: bench metrics --help")
    )


def part(name: str, start: int, count: int) -> Points:
    steps = range(start, start + count)
    times = [TIME_NS + step for step in steps]
    return Points(
        name=name, attempt_number=1, rank=0, steps=steps, times_ns=times, values=[step / 4 for step in steps]
    )


def test_row_groups_are_written_while_points_come(tmp_path: Path) -> None:
    sizes = []

    def parts() -> Iterator[Points]:
        for number in range(5 * GROUP_ROWS // (2 * 4096)):
            sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()))
            yield part(f"series {number // 40}", number * 4096, 4096)

    path = tmp_path / "points.parquet"
    count = 5 * GROUP_ROWS // 2
    assert write_parquet(path, parts()) == count
    whole = path.stat().st_size
    half = len(sizes) // 2
    assert whole / 5 < sizes[half] < whole
    file = pq.ParquetFile(path)
    groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert groups == [GROUP_ROWS, GROUP_ROWS, GROUP_ROWS // 2]
    table = file.read()
    assert table["step"].to_pylist() == list(range(count))
    assert pc.sum(table["value"]).as_py() == sum(range(count)) / 4
    assert table["series"].cast(pa.string()).to_pylist()[:: 40 * 4096] == ["series 0", *names(1, sizes)]


def names(first: int, parts: list[int]) -> list[str]:
    return [f"series {number}" for number in range(first, -(-len(parts) // 40))]


@pytest.mark.parametrize("cause", [AuthError("the server is gone"), KeyboardInterrupt()])
def test_what_breaks_off_leaves_nothing(tmp_path: Path, cause: BaseException) -> None:
    def parts() -> Iterator[Points]:
        for number in range(GROUP_ROWS // 4096 + 1):
            yield part("loss", number * 4096, 4096)
        raise cause

    with pytest.raises(type(cause)):
        write_parquet(tmp_path / "points.parquet", parts())
    assert list(tmp_path.iterdir()) == []


def test_what_comes_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "points.parquet"

    def parts() -> Iterator[Points]:
        yield part("loss", 0, 1)
        path.write_bytes(b"mine")

    with pytest.raises(CliError, match="is there already"):
        write_parquet(path, parts())
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]
