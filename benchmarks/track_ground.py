"""What the works with tracks stand on: a server, a run that an agent ships to it, a spool to be sent."""

import fcntl
import http.cookiejar
import json
import os
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench_auth
import bench_track
import numpy as np
from bench_protos.auth.v1.auth_pb2 import CreateWebLoginRequest
from bench_protos.auth.v1.auth_pb2_grpc import AuthServiceStub
from bench_protos.tracks.v1 import tracks_pb2 as pb
from bench_protos.tracks.v1.tracks_pb2_grpc import TrackServiceStub
from bench_track.records import MAGIC, pack_points, pack_shape
from uuid6 import uuid7

from benchmarks import data
from benchmarks.servers import BenchServer, bench_server

RECORDS = "0-1-5e0c2a91.records"
OF_THE_MACHINE = "system/"
"""What the agent logs by itself."""

PEAK = 1000.0
"""The one value of a spool's first series that is not between 0 and 1; it is in the middle."""

FORM_TOKEN = re.compile(b'name="csrfmiddlewaretoken" value="([^"]+)"')

SHIPPING_SECONDS = 120.0
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Tracked:
    """A run of this process, and the server that it is shipped to."""

    server: BenchServer
    run: bench_track.Run

    def wait_for_points(self, count: int) -> int:
        """How many the server has, when it has that many."""
        deadline = time.monotonic() + SHIPPING_SECONDS
        while (found := points_of(self.server, self.run.id)) < count and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        return found


@contextmanager
def open_run(folder: Path) -> Iterator[Tracked]:
    """A run of a script, of which the server has heard: its agent is there."""
    with bench_server(folder, links=True) as server:
        os.environ["BENCH_TRACK_ROOT"] = str(folder / "track")
        with bench_track.init(project=server.project) as run:
            tracked = Tracked(server, run)
            run.log({f"{OF_THE_MACHINE}begin": 0.0}, step=0)
            _wait_until_known(tracked)
            try:
                yield tracked
            finally:
                run.finish()
                _wait_for_agent(run.folder)


def points_of(server: BenchServer, run_id: str) -> int:
    """The points of a run on the server, but those of the machine; 0 if it knows none."""
    request = pb.ListSeriesRequest(project_id=server.project, run_id=run_id, page_size=1000)
    with suppress(bench_auth.NotFoundError):
        page = bench_auth.call(TrackServiceStub(bench_auth.open_channel(server.endpoint)).ListSeries, request)
        return sum(one.point_count for one in page.series if not one.name.startswith(OF_THE_MACHINE))
    return 0


def _wait_until_known(tracked: Tracked) -> None:
    stub = TrackServiceStub(bench_auth.open_channel(tracked.server.endpoint))
    request = pb.ListSeriesRequest(project_id=tracked.server.project, run_id=tracked.run.id)
    deadline = time.monotonic() + SHIPPING_SECONDS
    while time.monotonic() < deadline:
        with suppress(bench_auth.NotFoundError):
            if bench_auth.call(stub.ListSeries, request).series:
                return
        time.sleep(LOOK_SECONDS)
    raise RuntimeError("the agent ships nothing")


def _wait_for_agent(folder: Path) -> None:
    """Return when no agent has the folder any more: one whose server is gone would wait for it."""
    with (folder / "agent.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def make_spool(cache: Path, points: int, *, series: int) -> Path:
    """The file of a run that logged so many points, in records of so many series each."""
    folder = cache / f"spool-{points}-of-{series}"
    if not (folder / "count").exists():
        folder.mkdir(exist_ok=True)
        names = [f"train/{number}" for number in range(series)]
        steps = points // series
        values = np.random.default_rng(data.SEED).random((steps, series))
        values[steps // 2, 0] = PEAK
        with (folder / RECORDS).open("wb") as file:
            file.write(MAGIC + pack_shape(1, names))
            for step, row in enumerate(values.tolist()):
                file.write(pack_points(1, step=step, time=step * 1_000_000, values=row))
        (folder / "count").write_text(str(steps * series))  # last
    return folder


def send_spool(source: Path, folder: Path, server: BenchServer) -> tuple[str, float]:
    """Have an agent send a spool as a run; the run, and how long that took in seconds.

    Raises:
        RuntimeError: The server has not all of it.
    """
    run_id = str(uuid7())
    spool = folder / run_id
    spool.mkdir()
    document = {"version": 1, "run": run_id, "project": server.project, "name": None, "command": ["train.py"]}
    (spool / "run.json").write_text(json.dumps({**document, "time": time.time_ns()}))
    (spool / "end.json").write_text(json.dumps({"version": 1, "state": "succeeded", "exit_code": 0}))
    os.link(source / RECORDS, spool / RECORDS)
    os.sync()
    start = time.perf_counter()
    bench_track.sync(spool)
    seconds = time.perf_counter() - start
    if (found := points_of(server, run_id)) != data.read_count(source):
        raise RuntimeError(f"the server has {found:,} points of {data.read_count(source):,}")
    return run_id, seconds


class Dashboard:
    """A browser's side of a server's pages, signed in, without the browser."""

    def __init__(self, server: BenchServer) -> None:
        stub = AuthServiceStub(bench_auth.open_channel(server.endpoint))
        path = f"/projects/{server.project}"
        self._server = server
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        )
        link = bench_auth.call(stub.CreateWebLogin, CreateWebLoginRequest(path=path)).url
        address, _, secret = link.partition("#")
        self._origin = urllib.parse.urljoin(address, "/").rstrip("/")
        form = FORM_TOKEN.search(self._get(address))
        assert form is not None
        self._get(address, csrfmiddlewaretoken=form[1].decode(), secret=secret)

    def chart(self, run_id: str, query: Mapping[str, str | int]) -> tuple[dict[str, Any], float]:
        """A chart's data, and how long it took in seconds."""
        path = f"/projects/{self._server.project}/runs/{run_id}/chart?{urllib.parse.urlencode(query)}"
        start = time.perf_counter()
        answer = self._get(self._origin + path)
        seconds = time.perf_counter() - start
        found: dict[str, Any] = json.loads(answer)
        return found, seconds

    def _get(self, address: str, **form: str) -> bytes:
        sent = urllib.parse.urlencode(form).encode() if form else None
        with self._opener.open(address, sent, timeout=60) as response:
            content: bytes = response.read()
        return content
