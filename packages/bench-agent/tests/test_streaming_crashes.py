"""Streaming while something dies, is away, lies or is full: the same samples, or an error that says so."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bench_auth
import psutil
import pytest
from agent_tools import Server, running_server
from bench_auth.credentials import CredentialStore
from bench_data import ChunkDataset, loader, push
from bench_data.errors import CloudError
from bench_protos.auth.v1 import auth_pb2
from bench_protos.auth.v1.auth_pb2_grpc import AuthServiceStub
from proxy import Harm, cut_after, flip_once, harmful_proxy, nothing
from stream_tools import Numbered, agent_pid, cache_at, kill_agent, samples, wait_until, write_pictures

KILLS = 20
CHUNK_BYTES = 1 << 18


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of two datasets of 12 MB in chunks of 256 KB."""
    place = tmp_path_factory.mktemp("datasets")
    write_pictures(place, "train", 600, CHUNK_BYTES)
    write_pictures(place, "other", 500, CHUNK_BYTES)
    return place


@pytest.fixture(scope="module")
def project(server: Server, root: Path) -> str:
    made = server.create_project()
    for name in ("train", "other"):
        push(name, project=made, root=root)
    return made


@pytest.fixture
def cache(project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("BENCH_PROJECT", project)
    monkeypatch.setenv("BENCH_DATA_ROOT", str(tmp_path / "nothing"))
    monkeypatch.delenv("BENCH_CACHE_BYTES", raising=False)
    with cache_at(tmp_path / "cache") as folder:
        yield folder


def token_at(server: Server) -> str:
    store = CredentialStore(Path(os.environ["BENCH_CONFIG_DIR"]) / "credentials.json")
    credential = store.get(server.endpoint)
    assert credential is not None
    return credential.token


def stored(cache: Path) -> int:
    return sum(path.stat().st_size for path in cache.rglob("chunks/*.zip"))


def drop_chunks(cache: Path) -> None:
    for path in cache.rglob("chunks/*.zip"):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def meanwhile(action: Callable[[threading.Event], None]) -> Iterator[None]:
    """Do something in a thread while the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=action, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_agent_that_is_killed_again_and_again(cache: Path, root: Path, workers: int) -> None:
    options: dict[str, Any] = {"shuffle": "exact", "num_workers": workers}
    expected = samples(Numbered("train", root), **options)
    kills: list[bool] = []
    luck = random.Random(workers)

    def kill(stop: threading.Event) -> None:
        while not stop.wait(luck.uniform(0, 0.3)):
            kills.append(kill_agent(cache))
            drop_chunks(cache)
            while agent_pid(cache) is None and not stop.wait(0.01):
                pass

    streamed = Numbered("train")
    while sum(kills) < KILLS:
        drop_chunks(cache)
        with meanwhile(kill):
            assert samples(streamed, **options) == expected
    assert samples(streamed, **options) == expected


READER = """
import sys
from bench_data import loader
from stream_tools import Numbered

if __name__ == "__main__":
    for _ in range(1000):
        for _ in loader(Numbered("train"), batch_size=16, num_workers=2):
            print("+", flush=True)
"""


def test_readers_that_are_killed(cache: Path, root: Path, tmp_path: Path) -> None:
    (tmp_path / "reader.py").write_text(READER)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    ChunkDataset("train")
    for _ in range(3):
        words = [sys.executable, str(tmp_path / "reader.py")]
        with subprocess.Popen(
            words, env=environment, stdout=subprocess.PIPE, start_new_session=True
        ) as reader:
            assert reader.stdout is not None
            reader.stdout.readline()
            os.killpg(reader.pid, signal.SIGKILL)
    pid = agent_pid(cache)
    assert pid is not None
    agent = psutil.Process(pid)
    wait_until(lambda: agent.num_threads() < 40 and len(open_sockets(agent)) <= 2)
    with cache_limit(cache, stored(cache) // 4):
        expected = samples(Numbered("other", root), shuffle=False)
        assert samples(Numbered("other"), shuffle=False) == expected
        assert stored(cache) <= int(os.environ["BENCH_CACHE_BYTES"])  # what the dead had open was removed


def open_sockets(process: psutil.Process) -> list[Any]:
    return [c for c in process.net_connections("unix") if c.raddr or str(c.laddr).endswith("socket")]


@contextlib.contextmanager
def cache_limit(cache: Path, count: int) -> Iterator[None]:
    """A limit that this process's next connection tells the agent."""
    from bench_data.agent_connection import agent_of

    os.environ["BENCH_CACHE_BYTES"] = str(count)
    agent_of(cache).close()
    try:
        yield
    finally:
        del os.environ["BENCH_CACHE_BYTES"]


def test_a_limit_below_the_dataset(cache: Path, root: Path) -> None:
    limit = 8 * CHUNK_BYTES
    with cache_limit(cache, limit):
        for workers in (0, 2):
            options: dict[str, Any] = {"shuffle": "window", "window_chunks": 3, "num_workers": workers}
            expected = samples(Numbered("train", root), **options)
            assert samples(Numbered("train"), **options) == expected
            assert samples(Numbered("train"), **options) == expected
        kill_agent(cache)
        assert stored(cache) > 0


def test_a_limit_below_what_the_order_needs(cache: Path) -> None:
    with cache_limit(cache, 4 * CHUNK_BYTES):
        for options, hint in [
            ({"shuffle": "exact"}, 'take shuffle="window"'),
            ({"shuffle": "window", "window_chunks": 5}, "take window_chunks of less than 5"),
        ]:
            with pytest.raises(CloudError, match=r"the cache may hold 1048576 bytes") as caught:
                loader(Numbered("train"), **options)  # type: ignore[arg-type]
            assert hint in str(caught.value)
    with cache_limit(cache, 1000), pytest.raises(CloudError, match="a chunk has"):
        ChunkDataset("train")[0]
    os.environ["BENCH_CACHE_BYTES"] = "many"
    from bench_data.agent_connection import agent_of

    agent_of(cache).close()
    try:
        with pytest.raises(CloudError, match="BENCH_CACHE_BYTES is 'many'"):
            ChunkDataset("train")
    finally:
        del os.environ["BENCH_CACHE_BYTES"]
        agent_of(cache).close()


TRAINING = """
import sys
from stream_tools import Numbered, samples

if __name__ == "__main__":
    for _ in range(2):
        print(samples(Numbered(sys.argv[1]), shuffle="exact", num_workers=2), flush=True)
"""


def test_two_trainings_with_room_for_one(cache: Path, root: Path, tmp_path: Path) -> None:
    (tmp_path / "training.py").write_text(TRAINING)
    largest = max(
        sum(path.stat().st_size for path in (root / name).rglob("chunks/*.zip"))
        for name in ("train", "other")
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parent),
        "BENCH_CACHE_BYTES": str(largest + CHUNK_BYTES),
    }
    words = [sys.executable, str(tmp_path / "training.py")]
    trainings = {
        name: subprocess.Popen([*words, name], env=environment, stdout=subprocess.PIPE, text=True)
        for name in ("train", "other")
    }
    for name, training in trainings.items():
        said, _ = training.communicate(timeout=300)
        expected = samples(Numbered(name, root), shuffle="exact")
        assert said.splitlines() == [str(expected)] * 2
        assert training.returncode == 0


def test_a_server_that_is_away_for_a_while(
    cache: Path, root: Path, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    options: dict[str, Any] = {"shuffle": "window", "window_chunks": 2}
    expected = samples(Numbered("train", root), **options)
    batches = iter(loader(Numbered("train"), batch_size=16, num_workers=2, **options))
    found = [next(batches)]
    server.kill()
    drop_chunks(cache)
    timer = threading.Timer(9, server.start)
    timer.start()
    found += batches
    timer.join()
    pairs = [pair for numbers, sums in found for pair in zip(numbers.tolist(), sums.tolist(), strict=True)]
    assert pairs == expected
    said = capfd.readouterr().err
    assert said.count("bench: waiting for 'train'") == 1
    assert "the training goes on when it is back" in said


def test_a_server_that_is_away_at_the_start(
    cache: Path, root: Path, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = samples(Numbered("train", root), shuffle="exact")
    assert samples(Numbered("train"), shuffle="exact") == expected
    server.kill()
    try:
        assert samples(Numbered("train"), shuffle="exact") == expected
        assert "going on with version 1 of 'train' from the cache" in capfd.readouterr().err
        with pytest.raises(CloudError, match="cannot be reached"):
            ChunkDataset("other")
    finally:
        server.start()


def test_a_server_that_does_not_come_back(
    cache: Path, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from bench_agent import daemon, streaming;"
        "streaming.WAIT_SECONDS = 2.0;"
        "daemon.serve(Path(sys.argv[1]), 300, lambda: print('ready', flush=True))"
    )
    (cache / "agent").mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", code, str(cache)], stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() == b"ready\n"
        dataset = ChunkDataset("train")
        server.kill()
        try:
            with pytest.raises(CloudError, match="cannot be reached"):
                dataset[0]
        finally:
            server.start()
            agent.kill()


def test_a_token_that_is_revoked(cache: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = AuthServiceStub(bench_auth.open_channel(server.endpoint))
    made = bench_auth.call(stub.CreateToken, auth_pb2.CreateTokenRequest(name="streams"))
    monkeypatch.setenv("BENCH_TOKEN", made.token)
    monkeypatch.setenv("BENCH_ENDPOINT", server.endpoint)
    batches = iter(loader(Numbered("train"), batch_size=16, shuffle=False, num_workers=2))
    next(batches)
    bench_auth.call(stub.RevokeToken, auth_pb2.RevokeTokenRequest(token_id=made.token_info.id))
    drop_chunks(cache)
    with pytest.raises(CloudError, match="unknown or was revoked") as caught:
        list(batches)
    assert str(caught.value).count("Hint: Log in again") == 1


def stall_once(after: int) -> Harm:
    """One connection passes nothing for some seconds, and is then cut."""
    left = [1]

    def harm(data: bytes, passed: int) -> bytes | None:
        if passed < after or not left[0]:
            return data
        left[0] = 0
        time.sleep(3)
        return None

    return harm


@pytest.mark.parametrize(
    "harm",
    [cut_after(3_000_000), flip_once(1, 2_000_000), flip_once(2, 6_000_000), stall_once(3_000_000)],
    ids=["cut", "flip", "later flip", "stall"],
)
def test_harm_on_the_way(
    cache: Path, root: Path, server: Server, monkeypatch: pytest.MonkeyPatch, harm: Harm
) -> None:
    monkeypatch.setenv("BENCH_TOKEN", token_at(server))
    expected = samples(Numbered("train", root), shuffle="exact")
    with harmful_proxy(server.port, nothing, harm) as port:
        monkeypatch.setenv("BENCH_ENDPOINT", f"http://127.0.0.1:{port}")
        assert samples(Numbered("train"), shuffle="exact", num_workers=2) == expected
        kill_agent(cache)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "bench-agent-test", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        kill_agent(folder / "cache")
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(cache: Path, root: Path, small_disk: Path) -> None:
    other = small_disk / "precious"
    other.write_bytes(b"x" * (1 << 20))
    expected = samples(Numbered("train", root), shuffle="window", window_chunks=2)
    os.environ["BENCH_CACHE_BYTES"] = str(100 << 20)
    try:
        with cache_at(small_disk / "cache"):
            dataset = Numbered("train")
            # Full of chunks: the oldest make room.
            assert samples(dataset, shuffle="window", window_chunks=2) == expected
            kill_agent(small_disk / "cache")
            drop_chunks(small_disk / "cache")
            for left in small_disk.rglob("*.part"):
                left.unlink()
            filler = small_disk / "filler"
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            with pytest.raises(CloudError, match=r"the disk of .* is full"):
                Numbered("train")[0]
            filler.unlink()
            assert Numbered("train")[0] is not None
    finally:
        del os.environ["BENCH_CACHE_BYTES"]
    assert other.read_bytes() == b"x" * (1 << 20)
