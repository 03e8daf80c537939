"""What every store must do: a store's test module subclasses `StoreConformance` and gives it a store."""

import os
import threading
import time
from pathlib import Path

import pytest
from bench_server.datasets.store import MESSAGE_BYTES, Busy, Damaged, Store
from blake3 import blake3


def put(store: Store, data: bytes, owner: str = "owner") -> str:
    digest = blake3(data).hexdigest()
    with store.part(owner, digest) as part:
        for at in range(0, len(data), MESSAGE_BYTES):
            part.write(data[at : at + MESSAGE_BYTES])
        part.place()
    return digest


def get(store: Store, digest: str, offset: int = 0, length: int | None = None) -> bytes:
    if length is None:
        size = store.size(digest)
        assert size is not None
        length = size - offset
    return b"".join(store.read(digest, offset, length))


class StoreConformance:
    """The tests. A subclass has the fixture `store`: an empty one, whose parts nobody else has."""

    def test_what_is_placed_is_there(self, store: Store) -> None:
        data = os.urandom(2 * MESSAGE_BYTES + 17)
        digest = put(store, data)
        assert (store.size(digest), get(store, digest)) == (len(data), data)
        store.sync([digest])
        assert all(0 < len(piece) <= MESSAGE_BYTES for piece in store.read(digest, 0, len(data)))

    def test_ranges(self, store: Store) -> None:
        data = os.urandom(2 * MESSAGE_BYTES + 5)
        digest = put(store, data)
        for offset, length in (
            (0, 0),
            (0, 1),
            (MESSAGE_BYTES - 1, 2),
            (2 * MESSAGE_BYTES, 5),
            (7, MESSAGE_BYTES),
        ):
            assert get(store, digest, offset, length) == data[offset : offset + length]

    def test_an_empty_blob(self, store: Store) -> None:
        digest = put(store, b"")
        assert (store.size(digest), get(store, digest)) == (0, b"")

    def test_what_is_not_there(self, store: Store, tmp_path: Path) -> None:
        digest = blake3(b"nothing").hexdigest()
        assert (store.size(digest), store.received("owner", digest)) == (None, 0)
        with pytest.raises(Damaged):
            list(store.read(digest, 0, 1))
        with pytest.raises(Damaged):
            store.link(digest, tmp_path / "file")
        store.remove(digest)

    def test_a_range_behind_the_end(self, store: Store) -> None:
        digest = put(store, b"abc")
        with pytest.raises(Damaged):
            list(store.read(digest, 0, 4))

    def test_a_part_goes_on(self, store: Store) -> None:
        data = os.urandom(100)
        digest = blake3(data).hexdigest()
        with store.part("owner", digest) as part:
            part.write(data[:60])
        assert (store.received("owner", digest), store.size(digest)) == (60, None)
        assert store.received("another", digest) == 0
        with store.part("owner", digest) as part:
            assert (part.received, b"".join(part.pieces())) == (60, data[:60])
            part.write(data[60:])
            assert b"".join(part.pieces()) == data
            part.place()
        assert (store.received("owner", digest), get(store, digest)) == (0, data)

    def test_a_part_that_is_dropped_begins_anew(self, store: Store) -> None:
        digest = blake3(b"abc").hexdigest()
        with store.part("owner", digest) as part:
            part.write(b"xyz")
            part.drop()
            assert part.received == 0
        assert store.received("owner", digest) == 0
        with store.part("owner", digest) as part:
            assert part.received == 0

    def test_one_at_a_time_has_a_part(self, store: Store) -> None:
        digest = blake3(b"abc").hexdigest()
        with store.part("owner", digest):
            with pytest.raises(Busy), store.part("owner", digest):
                pass
            with store.part("another", digest):
                pass
        with store.part("owner", digest):
            pass

    def test_placing_again_replaces(self, store: Store) -> None:
        data = os.urandom(1000)
        digest = put(store, data)
        assert put(store, data, "another") == digest
        assert get(store, digest) == data

    def test_removing(self, store: Store) -> None:
        digest = put(store, b"abc")
        store.remove(digest)
        assert store.size(digest) is None
        put(store, b"abc")
        assert get(store, digest) == b"abc"

    def test_a_reader_is_not_disturbed_by_a_removal(self, store: Store) -> None:
        data = os.urandom(3 * MESSAGE_BYTES)
        digest = put(store, data)
        pieces = store.read(digest, 0, len(data))
        first = next(pieces)
        store.remove(digest)
        assert first + b"".join(pieces) == data

    def test_a_blob_as_a_file(self, store: Store, tmp_path: Path) -> None:
        data = os.urandom(1000)
        digest = put(store, data)
        store.link(digest, tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == data
        (tmp_path / "file").unlink()
        assert get(store, digest) == data

    def test_exclusive_excludes(self, store: Store) -> None:
        order: list[str] = []

        def second() -> None:
            with store.exclusive():
                order.append("second")

        with store.exclusive():
            thread = threading.Thread(target=second)
            thread.start()
            time.sleep(0.05)
            order.append("first")
        thread.join()
        assert order == ["first", "second"]

    def test_old_parts(self, store: Store) -> None:
        digest = blake3(b"abc").hexdigest()
        with store.part("owner", digest) as part:
            part.write(b"ab")
        assert list(store.old_parts(time.time() - 60, remove=True)) == []
        assert list(store.old_parts(time.time() + 60, remove=False)) == [2]
        assert store.received("owner", digest) == 2
        assert list(store.old_parts(time.time() + 60, remove=True)) == [2]
        assert store.received("owner", digest) == 0

    def test_a_part_that_is_being_written_is_not_old(self, store: Store) -> None:
        digest = blake3(b"abc").hexdigest()
        with store.part("owner", digest) as part:
            part.write(b"ab")
            assert list(store.old_parts(time.time() + 60, remove=True)) == []
        assert store.received("owner", digest) == 2

    def test_files_that_are_none_are_not_adopted(self, store: Store) -> None:
        assert store.adopt("0" * 32, blake3(b"abc").hexdigest()) is None

    def test_a_blob_that_is_lent_is_that_blob(self, store: Store) -> None:
        digest = put(store, b"abc")
        path = store.lend(digest)
        assert path is None or path.read_bytes() == b"abc"
