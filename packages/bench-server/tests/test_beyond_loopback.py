"""Serving where others can reach it: TLS, the pin, and what goes over the wire. Texts are asserted whole."""

import contextlib
import datetime
import os
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bench_auth
import grpc
import psutil
import pytest
from bench_auth import channel
from bench_auth.credentials import CredentialStore
from bench_server import certificates
from bench_server.certificates import own_certificate
from bench_server.data_folder import open_folder
from bench_server.rpc.credentials import server_credentials
from bench_server.rpc.serving import RpcServer
from cryptography import x509
from free_ports import free_port
from recording_proxy import recording_proxy
from server_tools import PASSWORD, new_account
from test_start import run

PORT_HINT = "Does the endpoint name the server's gRPC port, 8470 unless set otherwise?"
OTHER = ":".join(["AB"] * 32)


@pytest.fixture(autouse=True)
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("BENCH_CONFIG_DIR", str(tmp_path / "config"))
    for name in ("BENCH_TOKEN", "BENCH_ENDPOINT", "BENCH_DATABASE_URL", "BENCH_CA_FILE", "BENCH_FINGERPRINT"):
        monkeypatch.delenv(name, raising=False)
    yield
    channel.close_channels()


@dataclass(frozen=True)
class Served:
    """A server with TLS in this process."""

    port: int
    fingerprint: str
    authority: Path

    @property
    def endpoint(self) -> str:
        return f"https://localhost:{self.port}"


@contextlib.contextmanager
def serving(folder: Path, *names: str, port: int | None = None) -> Iterator[Served]:
    made = own_certificate(open_folder(folder, create=True), names or ("localhost",))
    port = port or free_port()
    server = RpcServer([], [f"127.0.0.1:{port}"], server_credentials(made.chain, made.key))
    try:
        yield Served(port, made.fingerprint, folder / "tls" / "authority.pem")
    finally:
        server.stop(0)


@pytest.fixture
def username(server_address: str) -> str:
    return new_account(server_address).username


def test_the_first_login_asks_and_then_pins(tmp_path: Path, username: str) -> None:
    with serving(tmp_path / "data") as served:
        with pytest.raises(bench_auth.UntrustedServerError) as caught:
            bench_auth.login(served.endpoint, username, PASSWORD)
        assert str(caught.value) == (
            f"nobody whom this machine trusts vouches for the server at {served.endpoint}, "
            f"whose fingerprint is {served.fingerprint}\n"
            "Hint: If it is what the server printed at its start, log in with this fingerprint."
        )
        assert (
            caught.value.fingerprint == bench_auth.server_fingerprint(served.endpoint) == served.fingerprint
        )
        user = bench_auth.login(served.endpoint, username, PASSWORD, trust=served.fingerprint.lower())
        assert bench_auth.current_user() == user
        kept = CredentialStore(tmp_path / "config" / "credentials.json").get(served.endpoint)
        assert kept is not None
        assert kept.certificate == served.authority.read_text()
        assert bench_auth.login(served.endpoint, username, PASSWORD) == user
        bench_auth.logout()
        with pytest.raises(bench_auth.UntrustedServerError):
            bench_auth.login(served.endpoint, username, PASSWORD)


def test_a_changed_certificate_is_refused(tmp_path: Path, username: str) -> None:
    with serving(tmp_path / "one") as one:
        bench_auth.login(one.endpoint, username, PASSWORD, trust=one.fingerprint)
    with serving(tmp_path / "two", port=one.port) as two:
        expected = (
            f"the server at {two.endpoint} is not the one that is trusted: its certificate is "
            f"{two.fingerprint}, and the trusted one {one.fingerprint}\nHint: Somebody may be in between. "
            "If the server's owner confirms the new one, log in with it again."
        )
        channel_calls = bench_auth.current_user, bench_auth.logout  # on the open channel, too
        for ask in (*channel_calls, lambda: bench_auth.login(None, username, PASSWORD)):
            with pytest.raises(bench_auth.CertificateChangedError) as caught:
                ask()
            assert str(caught.value) == expected
        channel.close_channels()
        with pytest.raises(bench_auth.CertificateChangedError) as caught:
            bench_auth.open_channel()
        assert (caught.value.trusted, caught.value.fingerprint) == (one.fingerprint, two.fingerprint)
        with pytest.raises(bench_auth.CertificateChangedError):
            bench_auth.login(two.endpoint, username, PASSWORD, trust=one.fingerprint)
        user = bench_auth.login(two.endpoint, username, PASSWORD, trust=two.fingerprint)
        assert bench_auth.current_user() == user


def test_an_authority_that_is_only_sent_along_vouches_for_nothing(tmp_path: Path, username: str) -> None:
    """Who is in between sends the true authority, which is public, after a certificate of their own."""
    with serving(tmp_path / "one") as one:
        bench_auth.login(one.endpoint, username, PASSWORD, trust=one.fingerprint)
    false = own_certificate(open_folder(tmp_path / "false", create=True), ["localhost"])
    key_and_certificate = false.chain.read_text().split("-----BEGIN CERTIFICATE-----")[:2]
    forged = tmp_path / "forged.pem"
    forged.write_text("-----BEGIN CERTIFICATE-----".join(key_and_certificate) + one.authority.read_text())
    server = RpcServer([], [f"127.0.0.1:{one.port}"], server_credentials(forged, forged))
    try:
        assert bench_auth.server_fingerprint(one.endpoint) == one.fingerprint
        with pytest.raises(bench_auth.CertificateError):
            bench_auth.login(one.endpoint, username, PASSWORD, trust=one.fingerprint)
        with pytest.raises(bench_auth.CertificateError):
            bench_auth.current_user()
    finally:
        server.stop(0)


def test_a_name_that_the_certificate_has_not(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "bench.example.org", "192.0.2.7") as served:
        with pytest.raises(bench_auth.CertificateError) as caught:
            bench_auth.server_info(served.endpoint, trust=served.fingerprint)
        assert str(caught.value) == (
            "the server's certificate is not valid for localhost, only for bench.example.org, 192.0.2.7\n"
            "Hint: Use one of these names, or start the server with --name localhost."
        )


@pytest.mark.parametrize("hours", [-12, 12])
def test_clocks_that_differ_by_hours(
    tmp_path: Path, username: str, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.utils import timezone

    elsewhere = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=hours)
    monkeypatch.setattr(certificates, "_now", lambda: elsewhere)
    monkeypatch.setattr(timezone, "now", lambda: elsewhere)
    with serving(tmp_path / "data") as served:
        user = bench_auth.login(served.endpoint, username, PASSWORD, trust=served.fingerprint)
        assert bench_auth.current_user() == user


def test_clocks_that_differ_by_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=5)
    with monkeypatch.context() as ahead:
        ahead.setattr(certificates, "_now", lambda: later)
        made = own_certificate(open_folder(tmp_path / "data", create=True), ["localhost"])
    certificate = x509.load_pem_x509_certificate(made.chain.read_bytes())
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    port = free_port()
    server = RpcServer([], [f"127.0.0.1:{port}"], server_credentials(made.chain, made.key))
    try:
        with pytest.raises(bench_auth.CertificateError) as caught:
            bench_auth.server_info(f"https://localhost:{port}", trust=made.fingerprint)
    finally:
        server.stop(0)
    message, hint = str(caught.value).split("\n")
    assert message.rpartition(" says ")[0] == (
        f"the server's certificate is valid from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, "
        "and this machine's clock"
    )
    assert hint == "Hint: Set the clock that is wrong; if neither is, renew the certificate."


def test_trust_from_the_environment(tmp_path: Path, username: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path / "data") as served:
        monkeypatch.setenv("BENCH_CA_FILE", str(served.authority))
        user = bench_auth.login(served.endpoint, username, PASSWORD)
        kept = CredentialStore(tmp_path / "config" / "credentials.json").get(served.endpoint)
        assert kept is not None
        assert kept.certificate is None
        monkeypatch.setenv("BENCH_CONFIG_DIR", str(tmp_path / "nothing"))  # as in a container
        monkeypatch.setenv("BENCH_TOKEN", kept.token)
        monkeypatch.setenv("BENCH_ENDPOINT", served.endpoint)
        assert bench_auth.current_user() == user
        monkeypatch.delenv("BENCH_CA_FILE")
        with pytest.raises(bench_auth.UntrustedServerError):
            bench_auth.current_user()
        monkeypatch.setenv("BENCH_FINGERPRINT", served.fingerprint.replace(":", ""))
        assert bench_auth.current_user() == user
        monkeypatch.setenv("BENCH_FINGERPRINT", OTHER)
        with pytest.raises(bench_auth.CertificateChangedError):
            bench_auth.current_user()


def test_a_renewed_certificate_needs_no_restart_and_no_new_pin(
    tmp_path: Path, username: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path / "data") as served:
        user = bench_auth.login(served.endpoint, username, PASSWORD, trust=served.fingerprint)
        own_certificate(open_folder(tmp_path / "data"), ["localhost", "127.0.0.1"])
        channel.close_channels()
        assert bench_auth.current_user() == user
        monkeypatch.setenv("BENCH_TOKEN", "bench_u_x")
        monkeypatch.setenv("BENCH_CA_FILE", str(served.authority))
        with pytest.raises(bench_auth.NotLoggedInError):  # the new one is valid for this name
            bench_auth.current_user(f"https://127.0.0.1:{served.port}")


def test_clear_where_tls_is_and_the_reverse(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as served, pytest.raises(bench_auth.UnreachableError) as caught:
        bench_auth.server_info(f"http://localhost:{served.port}")
    assert str(caught.value) == (
        f"what answers at http://localhost:{served.port} speaks TLS\nHint: Name it https://localhost:{served.port}."
    )
    port = free_port()
    server = RpcServer([f"127.0.0.1:{port}"])
    try:
        for ask in (bench_auth.server_fingerprint, bench_auth.server_info):
            with pytest.raises(bench_auth.UnreachableError) as caught:
                ask(f"https://localhost:{port}")
            assert str(caught.value) == (
                f"what answers at https://localhost:{port} speaks no TLS\nHint: {PORT_HINT} "
                f"On its own machine a server may be http://localhost:{port}."
            )
    finally:
        server.stop(0)


@contextlib.contextmanager
def started(data: Path, *arguments: str) -> Iterator[tuple["subprocess.Popen[str]", list[str]]]:
    web_port = ["--web-port", str(free_port())]
    command = [sys.executable, "-m", "bench_server", "start", "--data", str(data), *web_port, *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        lines = []
        for line in process.stderr:
            lines.append(line.rstrip("\n"))
            if line.startswith("Data:"):
                break
        yield process, lines
    finally:
        process.terminate()
        process.wait(60)
        process.stderr.close()


def secrets_in(recorded: bytes, token: str) -> set[str]:
    return {
        name for name, secret in (("password", PASSWORD), ("token", token)) if secret.encode() in recorded
    }


def log_in_through(port: int, scheme: str, trust: str | None) -> tuple[bytes, str]:
    """What is to be seen between a client and a server at a login and a call after it, and the token."""
    with recording_proxy(port) as (proxy, recorded):
        endpoint = f"{scheme}://localhost:{proxy}"
        bench_auth.login(endpoint, "ada", PASSWORD, trust=trust)
        bench_auth.current_user(endpoint)
        store = CredentialStore(Path(os.environ["BENCH_CONFIG_DIR"]) / "credentials.json")
        kept = store.get(endpoint)
        assert kept is not None
        channel.close_channels()
        return bytes(recorded), kept.token


def test_no_password_and_no_token_goes_in_clear_beyond_loopback(tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()
    run("createuser", "ada", "--owner", "--password-stdin", "--data", str(data), stdin=f"{PASSWORD}\n")
    with started(data, "--port", str(port), "--host", "0.0.0.0") as (process, lines):
        ready, fingerprint, web, _ = lines
        assert ready == f"Bench is ready on https://{socket.gethostname().lower()}:{port}"
        recorded, token = log_in_through(port, "https", fingerprint.removeprefix("Fingerprint: "))
        assert secrets_in(recorded, token) == set()
        assert len(recorded) > 1000
        context = ssl.create_default_context(cafile=data / "tls" / "authority.pem")
        with urllib.request.urlopen(web.removeprefix("Web: "), context=context, timeout=60) as page:
            assert b"Sign in" in page.read()
        for _, listening in listeners(process):
            clear = grpc.insecure_channel(f"localhost:{listening}")
            with clear, pytest.raises(grpc.FutureTimeoutError):
                grpc.channel_ready_future(clear).result(1)
    with started(data, "--port", str(port)) as (process, lines):  # so that the check can fail
        assert [lines[0], lines[2]] == [f"Bench is ready on http://localhost:{port}", f"Data: {data}"]
        assert lines[1].startswith("Web: http://localhost:")
        assert {address.removeprefix("::ffff:") for address, _ in listeners(process)} == {"127.0.0.1"}
        recorded, token = log_in_through(port, "http", None)
        assert secrets_in(recorded, token) == {"password", "token"}


def listeners(process: "subprocess.Popen[str]") -> list[tuple[str, int]]:
    connections = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a program that a runner asks something ends soon
            connections += child.net_connections("tcp")
    found = [(one.laddr.ip, one.laddr.port) for one in connections if one.status == psutil.CONN_LISTEN]
    assert found
    return found


def test_an_own_address_has_tls_and_loopback_stays_clear(tmp_path: Path) -> None:
    cards = psutil.net_if_addrs().values()
    own = [one.address for card in cards for one in card if one.family.name == "AF_INET"]
    beyond = [address for address in own if not address.startswith("127.")]
    assert beyond, "this needs a machine with an address that others can reach"
    port = free_port()
    with started(tmp_path / "data", "--port", str(port), "--host", beyond[0]) as (_, lines):
        assert lines[0] == f"Bench is ready on https://{beyond[0]}:{port}"
        trust = lines[1].removeprefix("Fingerprint: ")
        info = bench_auth.server_info(f"https://{beyond[0]}:{port}", trust=trust)
        assert bench_auth.server_info(f"http://localhost:{port}").server_id == info.server_id


def test_a_certificate_of_the_users_own(tmp_path: Path) -> None:
    theirs = own_certificate(open_folder(tmp_path / "theirs", create=True), ["localhost"])
    files = ["--certificate", str(theirs.chain), "--key", str(theirs.key)]
    port = free_port()
    with started(tmp_path / "data", "--port", str(port), "--host", "0.0.0.0", *files) as (_, lines):
        assert lines[1] == f"Fingerprint: {theirs.fingerprint}"
        assert bench_auth.server_info(f"https://localhost:{port}", trust=theirs.fingerprint).can_create_owner
        assert not (tmp_path / "data" / "tls").exists()
    alone = run("start", "--data", str(tmp_path / "data"), "--certificate", str(theirs.chain))
    assert alone.stderr == (
        "Error: a certificate and its key come together\nHint: Give both --certificate and --key.\n"
    )
    local = run("start", "--data", str(tmp_path / "data"), *files)
    assert local.stderr == (
        "Error: 127.0.0.1 is this machine alone, which needs no certificate\n"
        "Hint: Name the address that others use with --host.\n"
    )


def test_two_servers_with_pins_of_their_own(tmp_path: Path, username: str) -> None:
    with serving(tmp_path / "one") as one, serving(tmp_path / "two") as two:
        for served in (one, two):
            bench_auth.login(served.endpoint, username, PASSWORD, trust=served.fingerprint)
        assert bench_auth.current_user().endpoint == two.endpoint
        assert bench_auth.current_user(one.endpoint).endpoint == one.endpoint
        bench_auth.logout()
        with pytest.raises(bench_auth.NotLoggedInError):
            bench_auth.current_user(two.endpoint)
        assert bench_auth.current_user().endpoint == one.endpoint
