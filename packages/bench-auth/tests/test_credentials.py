import os
import stat
import threading
from pathlib import Path

import pytest
from bench_auth.credentials import Credential, CredentialStore
from bench_auth.errors import CredentialsError

ADA = Credential("1", "ada", "bench_u_a")
BOB = Credential("2", "bob", "bench_u_b")


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
