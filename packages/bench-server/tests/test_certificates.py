"""The server's own certificate, and one that it is given."""

import datetime
import os
from pathlib import Path

import pytest
from bench_server import certificates
from bench_server.certificates import given_certificate, own_certificate
from bench_server.data_folder import DataFolder, open_folder
from bench_server.errors import CertificateError
from bench_server.maintenance import back_up
from cryptography import x509


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return open_folder(tmp_path / "data", create=True)


def chain_of(path: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(path.read_bytes())


def test_it_is_made_once_and_readable_by_its_owner_only(folder: DataFolder) -> None:
    before = os.umask(0)
    try:
        made = own_certificate(folder, ["localhost", "10.0.0.5"])
    finally:
        os.umask(before)
    content = made.chain.read_bytes()
    assert own_certificate(folder, ["10.0.0.5"]) == made
    assert made.chain.read_bytes() == content
    tls = folder.path / "tls"
    assert tls.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in tls.iterdir()}
    assert modes == {"authority.key": 0o600, "authority.pem": 0o644, "server.pem": 0o600}
    certificate, authority = chain_of(made.chain)
    certificate.verify_directly_issued_by(authority)
    assert (
        made.fingerprint
        == certificates.fingerprint(authority)
        == given_certificate(made.chain, made.key).fingerprint
    )


def test_a_new_name_is_a_new_certificate_of_the_same_authority(folder: DataFolder) -> None:
    first = own_certificate(folder, ["localhost"])
    before = chain_of(first.chain)
    second = own_certificate(folder, ["localhost", "bench.example.org"])
    after = chain_of(second.chain)
    assert second == first
    assert (before[0] != after[0], before[1] == after[1]) == (True, True)


def test_it_is_renewed_before_it_ends(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    first = chain_of(own_certificate(folder, ["localhost"]).chain)[0]
    assert now - first.not_valid_before_utc >= datetime.timedelta(days=2)
    for days, renewed in ((360, False), (370, True)):
        monkeypatch.setattr(certificates, "_now", lambda days=days: now + datetime.timedelta(days=days))
        found = chain_of(own_certificate(folder, ["localhost"]).chain)[0]
        assert (found != first) == renewed


def test_one_made_by_a_clock_that_ran_ahead_is_made_again(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    with monkeypatch.context() as ahead:
        ahead.setattr(certificates, "_now", lambda: now + datetime.timedelta(days=100))
        first = own_certificate(folder, ["localhost"])
    assert own_certificate(folder, ["localhost"]) == first
    assert chain_of(first.chain)[0].not_valid_before_utc < now


def test_a_damaged_authority_is_not_replaced(folder: DataFolder) -> None:
    own_certificate(folder, ["localhost"])
    (folder.path / "tls" / "authority.key").write_text("")
    with pytest.raises(CertificateError) as caught:
        own_certificate(folder, ["localhost"])
    assert str(caught.value) == (
        f"the server's certificate authority in {folder.path / 'tls'} is damaged\n"
        "Hint: Restore it from a backup; or remove the folder, and every client must trust the server anew."
    )


def test_a_damaged_certificate_is_made_again(folder: DataFolder) -> None:
    made = own_certificate(folder, ["localhost"])
    made.chain.write_text("")
    assert len(chain_of(own_certificate(folder, ["localhost"]).chain)) == 2


def test_a_name_that_is_none(folder: DataFolder) -> None:
    with pytest.raises(CertificateError, match="'büro' is no name for a certificate"):
        own_certificate(folder, ["büro"])


def test_a_given_certificate_and_key_belong_together(tmp_path: Path) -> None:
    one, two = (
        own_certificate(open_folder(tmp_path / name, create=True), ["localhost"]) for name in ("one", "two")
    )
    assert given_certificate(one.chain, one.key) == one
    with pytest.raises(CertificateError, match="is not the key of the certificate"):
        given_certificate(one.chain, two.key)
    with pytest.raises(CertificateError, match="are no certificate and key"):
        given_certificate(tmp_path / "one" / "server.json", one.key)
    with pytest.raises(CertificateError, match="absent: No such file"):
        given_certificate(tmp_path / "absent", one.key)


def test_a_backup_has_the_authority(folder: DataFolder, tmp_path: Path) -> None:
    import contextlib
    import sqlite3

    with contextlib.closing(sqlite3.connect(folder.database)):
        made = own_certificate(folder, ["localhost"])
        back_up(folder, tmp_path / "copy")
    assert own_certificate(open_folder(tmp_path / "copy"), ["localhost"]).fingerprint == made.fingerprint
    assert (tmp_path / "copy" / "tls" / "authority.key").stat().st_mode & 0o777 == 0o600
