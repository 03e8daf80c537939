"""Everything that can be wrong between here and a server: one message, one hint, no traceback of gRPC's."""

import http.server
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bench_auth
import grpc
import pytest
from bench_auth import channel, logins
from bench_auth.calls import call
from bench_auth.credentials import Credential, CredentialStore
from bench_auth.endpoints import parse_endpoint
from bench_protos.auth.v1 import auth_pb2 as pb
from bench_protos.auth.v1.auth_pb2_grpc import AuthServiceStub


@pytest.fixture(autouse=True)
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("BENCH_CONFIG_DIR", str(tmp_path / "config"))
    for name in ("BENCH_TOKEN", "BENCH_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    yield
    channel.close_channels()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        yield made


def url(listener: socket.socket) -> str:
    return f"http://localhost:{listener.getsockname()[1]}"


def test_no_server(listener: socket.socket) -> None:
    with pytest.raises(
        bench_auth.UnreachableError, match=r"cannot be reached \(Connection refused\)\nHint: Does it run"
    ):
        bench_auth.server_info(url(listener))  # bound, and not listening


def test_no_socket(tmp_path: Path) -> None:
    with pytest.raises(bench_auth.UnreachableError, match="No such file"):
        bench_auth.server_info(f"unix:{tmp_path}/rpc.sock")


def test_a_name_that_is_none() -> None:
    with pytest.raises(bench_auth.UnreachableError):
        bench_auth.server_info("https://no-such-host.invalid:8470")


def test_a_web_server() -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(bench_auth.UnreachableError, match="gRPC port"):
            bench_auth.server_info(f"http://localhost:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_server_that_does_not_answer(listener: socket.socket) -> None:
    listener.listen()
    endpoint = parse_endpoint(url(listener))
    stub = AuthServiceStub(channel.channel_to(endpoint, None))
    with pytest.raises((bench_auth.TimedOutError, bench_auth.UnreachableError)):
        call(stub.GetServerInfo, pb.GetServerInfoRequest(), seconds=0.5)


def test_another_grpc_server() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with pytest.raises(bench_auth.UnreachableError, match="no Bench server of this release"):
            bench_auth.server_info(f"http://localhost:{port}")
    finally:
        server.stop(0).wait()


def test_nothing_goes_in_clear_where_the_endpoint_says_https(listener: socket.socket) -> None:
    listener.listen()
    seen: list[bytes] = []

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            seen.append(connection.recv(1 << 16))

    thread = threading.Thread(target=accept)
    thread.start()
    endpoint = f"https://localhost:{listener.getsockname()[1]}"
    with pytest.raises((bench_auth.UnreachableError, bench_auth.TimedOutError)):
        bench_auth.login(endpoint, "ada", "the password")
    thread.join()
    assert seen[0].startswith(b"\x16\x03")  # TLS, and no HTTP/2 preface
    assert b"PRI" not in seen[0]


def test_a_proxy_gets_no_loopback_call(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    listener.listen()
    listener.settimeout(0.1)
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, url(listener))
    for name in ("no_proxy", "no_grpc_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(bench_auth.UnreachableError, match="refused"):
        bench_auth.server_info("http://localhost:1")
    with pytest.raises(TimeoutError):
        listener.accept()


@pytest.mark.parametrize("endpoint", ["http://example.org:8470", "localhost", "unix:x"])
def test_endpoints_that_will_not_do(endpoint: str) -> None:
    with pytest.raises(bench_auth.EndpointError):
        bench_auth.login(endpoint, "ada", "secret")


def test_nobody_is_logged_in() -> None:
    for ask in (bench_auth.current_user, bench_auth.open_channel, bench_auth.logout):
        with pytest.raises(bench_auth.NotLoggedInError, match=r"no login at http://localhost:8470"):
            ask()


def test_a_token_in_the_environment_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_TOKEN", "bench_p_x")
    with pytest.raises(bench_auth.NotLoggedInError, match="BENCH_TOKEN is set"):
        bench_auth.login("http://localhost:1", "ada", "secret")
    assert bench_auth.open_channel("http://localhost:1") is bench_auth.open_channel("http://localhost:1")


def test_the_endpoint_of_the_environment_rules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = CredentialStore(tmp_path / "config" / "credentials.json")
    store.put("http://localhost:1", Credential("1", "ada", "bench_u_x"))
    assert logins._endpoint(None).url == "http://localhost:1"
    monkeypatch.setenv("BENCH_ENDPOINT", "http://localhost:2")
    assert logins._endpoint(None).url == "http://localhost:2"
    assert logins._endpoint("http://localhost:3").url == "http://localhost:3"


def test_a_login_is_kept_while_the_server_is_away(listener: socket.socket, tmp_path: Path) -> None:
    store = CredentialStore(tmp_path / "config" / "credentials.json")
    store.put(url(listener), Credential("1", "ada", "bench_u_x"))
    with pytest.raises(bench_auth.UnreachableError):
        bench_auth.logout()
    assert store.get(url(listener)) is not None


def test_a_forked_child_opens_channels_of_its_own() -> None:
    endpoint = logins._endpoint("http://localhost:1")
    mine = channel.channel_to(endpoint, "x")
    read, write = os.pipe()
    child = os.fork()
    if not child:
        theirs = channel.channel_to(endpoint, "x")
        os.write(write, b"1" if theirs is not mine else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1) == b"1"
    os.close(read)
    os.close(write)
    assert channel.channel_to(endpoint, "x") is mine


def test_the_public_names() -> None:
    assert bench_auth.__all__ == sorted(bench_auth.__all__)
    assert all(hasattr(bench_auth, name) for name in bench_auth.__all__)
