import os
from pathlib import Path

import pytest
from bench_agent.run.masking import Masker
from bench_agent.run.spool import Spool

SECRET = b"a secret value"


@pytest.mark.parametrize("size", [1, 2, 5, 13, 14, 15, 64])
def test_pieces_of_any_size_show_no_secret(tmp_path: Path, size: int) -> None:
    text = b"x" * 9 + SECRET + b"y" + SECRET + SECRET + b"a secr"
    (tmp_path / "output").write_bytes(text)
    spool = Spool(tmp_path, Masker([SECRET]), 1000)
    found, held = b"", b""
    while piece := spool.read(len(found), size, is_whole=False):
        found += piece
    while piece := spool.read(len(found) + len(held), size, is_whole=True):
        held += piece
    spool.close()
    assert (found + held).replace(b"*", b"") == b"x" * 9 + b"y" + b"a secr"
    assert held == b"a secr"
    assert len(found + held) == len(text)


def test_a_reader_that_starts_within_a_secret_sees_no_rest_of_it(tmp_path: Path) -> None:
    (tmp_path / "output").write_bytes(b"one " + SECRET + b" two")
    spool = Spool(tmp_path, Masker([SECRET]), 1000)
    assert spool.read(10, 100, is_whole=True) == b"*" * 8 + b" two"
    spool.close()


def test_nothing_behind_the_quota_is_read_but_a_byte(tmp_path: Path) -> None:
    (tmp_path / "output").write_bytes(b"x" * 100)
    spool = Spool(tmp_path, Masker([]), 10)
    assert spool.read(0, 50, is_whole=True) == b"x" * 11
    assert spool.read(11, 50, is_whole=True) == b""
    assert (spool.wanted_bytes, spool.written_bytes) == (11, 100)
    spool.close()


def test_what_the_server_has_is_freed_and_offsets_stay(tmp_path: Path) -> None:
    spool = Spool(tmp_path, Masker([SECRET]), 8 << 20)
    block = os.urandom(1 << 20)
    for _ in range(16):
        os.write(spool.descriptor, block)
    spool.received_bytes = 5 << 20
    spool.free()
    status = os.stat(tmp_path / "output")
    assert status.st_size == 16 << 20
    # Kept: from 4 MiB on, as secrets may reach over 5, to 3 MiB behind the quota.
    assert status.st_blocks * 512 <= 8 << 20
    assert spool.read(4 << 20, 1 << 20, is_whole=False) == block
    assert spool.read(0, 10, is_whole=False) == bytes(10)
    spool.close()
