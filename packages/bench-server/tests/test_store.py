"""The local store: what every store does, and what it does with files that users have too."""

import os
import threading
import time
from pathlib import Path

import pytest
from bench_server.datasets.seals import seal
from bench_server.datasets.store import Damaged, LocalStore
from blake3 import blake3
from store_conformance import StoreConformance, get, put

DATA = os.urandom(10_000)
DIGEST = blake3(DATA).hexdigest()
NAME = "0123456789abcdef" * 2


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


class TestLocalStore(StoreConformance):
    """See there."""


@pytest.fixture
def mine(tmp_path: Path, store: LocalStore) -> Path:
    """A user's file with a link in `incoming`."""
    path = tmp_path / "mine"
    path.write_bytes(DATA)
    incoming = tmp_path / "store" / "incoming"
    incoming.mkdir(parents=True)
    os.link(path, incoming / NAME)
    return path


def adopt(store: LocalStore) -> None:
    adopted = store.adopt(NAME, DIGEST)
    assert adopted is not None
    assert adopted.size == len(DATA)
    adopted.place()
    store.sync([DIGEST])


def change_keeping_the_size(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"????")


def test_a_file_is_adopted(store: LocalStore, mine: Path) -> None:
    mine.chmod(0o664)
    adopt(store)
    assert get(store, DIGEST) == DATA
    assert os.path.samefile(store.path(DIGEST), mine)
    assert mine.stat().st_mode & 0o777 == 0o444


def test_the_same_file_again(store: LocalStore, mine: Path, tmp_path: Path) -> None:
    adopt(store)
    os.link(mine, tmp_path / "store" / "incoming" / NAME)
    adopt(store)
    assert get(store, DIGEST) == DATA
    assert not list((tmp_path / "store" / "incoming").iterdir())


def test_a_change_is_noticed(store: LocalStore, mine: Path, tmp_path: Path) -> None:
    adopt(store)
    pieces = store.read(DIGEST, 0, len(DATA))
    change_keeping_the_size(mine)
    for use in (
        lambda: list(pieces),
        lambda: get(store, DIGEST, 0, 10),
        lambda: store.link(DIGEST, tmp_path / "file"),
        lambda: store.lend(DIGEST),
    ):
        with pytest.raises(Damaged):
            use()
    assert store.size(DIGEST) is None
    put(store, DATA)
    assert get(store, DIGEST) == DATA
    assert not os.path.samefile(store.path(DIGEST), mine)


def test_a_change_while_it_is_read_is_noticed(store: LocalStore, mine: Path) -> None:
    adopt(store)
    pieces = store.read(DIGEST, 0, 1)
    next(pieces)
    pieces = store.read(DIGEST, 0, len(DATA))
    change_keeping_the_size(mine)
    with pytest.raises(Damaged):
        next(pieces)


def test_a_file_that_was_touched_is_hashed_again(store: LocalStore, mine: Path) -> None:
    adopt(store)
    os.utime(mine)
    assert get(store, DIGEST) == DATA
    change_keeping_the_size(mine)
    assert store.size(DIGEST) is None


def test_what_is_not_adopted(store: LocalStore, mine: Path, tmp_path: Path) -> None:
    incoming = tmp_path / "store" / "incoming"
    assert store.adopt(NAME, blake3(b"other").hexdigest()) is None
    assert mine.stat().st_mode & 0o200
    (incoming / ("1" * 32)).symlink_to(mine)
    assert store.adopt("1" * 32, DIGEST) is None
    (incoming / ("2" * 32)).mkdir()
    assert store.adopt("2" * 32, DIGEST) is None
    os.mkfifo(incoming / ("3" * 32))
    assert store.adopt("3" * 32, DIGEST) is None
    with mine.open("r+b"):
        assert store.adopt(NAME, DIGEST) is None
    adopt(store)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_users_file_is_not_adopted(store: LocalStore, mine: Path) -> None:
    os.chown(mine, 65534, 65534)
    assert store.adopt(NAME, DIGEST) is None


def test_who_wants_to_write_waits_until_the_digest_is_compared(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_bytes(DATA)  # so young that `seal` waits
    opened: list[float] = []

    def write() -> None:
        time.sleep(0.01)
        with path.open("r+b"):
            opened.append(time.monotonic())

    thread = threading.Thread(target=write)
    thread.start()
    found = seal(path, DIGEST)
    thread.join()
    assert found is not None or path.stat().st_mode & 0o200
    assert len(opened) == 1


def test_a_blob_that_was_lent_is_watched(store: LocalStore, tmp_path: Path) -> None:
    put(store, DATA)
    path = store.lend(DIGEST)
    assert path is not None
    os.link(path, tmp_path / "theirs")
    assert store.lend(DIGEST) == path
    assert get(store, DIGEST) == DATA
    change_keeping_the_size(tmp_path / "theirs")
    assert store.size(DIGEST) is None


def test_a_removed_blob_leaves_no_seal(store: LocalStore, mine: Path, tmp_path: Path) -> None:
    adopt(store)
    store.remove(DIGEST)
    assert mine.read_bytes() == DATA
    assert not [path for path in (tmp_path / "store" / "seals").rglob("*") if path.is_symlink()]
    put(store, DATA)
    assert get(store, DIGEST) == DATA
