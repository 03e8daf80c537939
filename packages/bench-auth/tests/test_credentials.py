import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from bench_auth.credentials import Credential, CredentialStore
from bench_auth.errors import CredentialsError

ADA = Credential("1", "ada", "bench_u_a", None)
BOB = Credential("2", "bob", "bench_u_b", None)


@pytest.fixture
def store(tmp_path: Path) -> CredentialStore:
    return CredentialStore(tmp_path / "config" / "credentials.json")


def test_several_servers(store: CredentialStore) -> None:
    assert (store.current(), store.get("one")) == (None, None)
    store.put("one", ADA)
    store.put("two", BOB)
    assert (store.current(), store.get("one"), store.get("two")) == ("two", ADA, BOB)
    store.remove("two")
    assert (store.current(), store.get("two")) == ("one", None)
    store.remove("one")
    store.remove("one")
    assert store.current() is None


def test_a_preferred_endpoint_needs_no_login(store: CredentialStore) -> None:
    store.put("one", ADA)
    store.prefer("two")
    assert (store.current(), store.get("one"), store.get("two")) == ("two", ADA, None)
    store.prefer(None)
    assert (store.current(), store.get("one")) == (None, ADA)


def test_nobody_else_can_read_it(store: CredentialStore) -> None:
    before = os.umask(0)
    try:
        store.put("one", ADA)
    finally:
        os.umask(before)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


def test_logins_at_once_are_all_kept(store: CredentialStore) -> None:
    names = [f"server{number}" for number in range(20)]
    threads = [threading.Thread(target=store.put, args=(name, ADA)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.get(name) for name in names] == [ADA] * 20
    assert {entry.name for entry in store.path.parent.iterdir()} <= {"credentials.json", "credentials.lock"}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"servers": []}', '{"version": 1, "servers": {"one": {"token": 1}}}']
)
def test_a_damaged_file_is_named(store: CredentialStore, text: str) -> None:
    store.path.parent.mkdir()
    store.path.write_text(text)
    with pytest.raises(CredentialsError, match=r"credentials\.json is damaged"):
        store.get("one")


def test_a_file_of_a_newer_release(store: CredentialStore) -> None:
    store.path.parent.mkdir()
    store.path.write_text('{"version": 2, "current": null, "servers": {}}')
    with pytest.raises(CredentialsError, match="another release"):
        store.put("one", ADA)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = CredentialStore(tmp_path / "file" / "credentials.json")
    with pytest.raises(CredentialsError, match="file"):
        store.put("one", ADA)


def test_two_processes_that_log_in_at_once_are_both_kept(store: CredentialStore) -> None:
    script = (
        "import sys; from pathlib import Path; from bench_auth.credentials import *\n"
        "for number in range(20): CredentialStore(Path(sys.argv[1])).put("
        "f'{sys.argv[2]}{number}', Credential('1', 'ada', 'x', None))"
    )
    both = [subprocess.Popen([sys.executable, "-c", script, str(store.path), name]) for name in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]
    kept = [store.get(f"{name}{number}") for name in "ab" for number in range(20)]
    assert None not in kept


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    store = CredentialStore(Path("/proc/bench/credentials.json"))  # not even for root
    with pytest.raises(CredentialsError) as caught:
        store.put("one", ADA)
    assert str(caught.value).startswith("/proc/bench: ")
    assert caught.value.hint == "Name another folder with BENCH_CONFIG_DIR."


def test_a_file_in_a_folder_that_others_can_read(store: CredentialStore) -> None:
    store.path.parent.mkdir(mode=0o755)
    store.put("one", ADA)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
