"""Everything that can be wrong between here and a server: one message, one hint, no traceback of gRPC's."""

import contextlib
import http.server
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import bench_auth
import grpc
import pytest
from bench_auth import channel, logins, probe
from bench_auth.calls import call
from bench_auth.credentials import Credential, CredentialStore
from bench_auth.endpoints import parse_endpoint
from bench_protos.auth.v1 import auth_pb2 as pb
from bench_protos.auth.v1.auth_pb2_grpc import AuthServiceStub

PORT_HINT = "Does the endpoint name the server's gRPC port, 8470 unless set otherwise?"


@pytest.fixture(autouse=True)
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("BENCH_CONFIG_DIR", str(tmp_path / "config"))
    for name in ("BENCH_TOKEN", "BENCH_ENDPOINT", "BENCH_CA_FILE", "BENCH_FINGERPRINT"):
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
    for ask in (bench_auth.server_info, bench_auth.server_fingerprint):
        endpoint = (
            url(listener).replace("http:", "https:")
            if ask is bench_auth.server_fingerprint
            else url(listener)
        )
        with pytest.raises(bench_auth.UnreachableError) as caught:
            ask(endpoint)  # bound, and not listening
        assert str(caught.value) == (
            f"the server cannot be reached (Connection refused)\nHint: Does it run? {PORT_HINT}"
        )


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
        endpoint = f"http://localhost:{server.server_port}"
        with pytest.raises(bench_auth.UnreachableError) as caught:
            bench_auth.server_info(endpoint)
        assert str(caught.value) == (
            f"what answers at {endpoint} is a web server, and no gRPC\nHint: {PORT_HINT}"
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_port_that_takes_connections_and_says_nothing(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "PROBE_SECONDS", 0.5)
    listener.listen()
    endpoint = parse_endpoint(url(listener))
    stub = AuthServiceStub(channel.channel_to(endpoint, None))
    with pytest.raises(bench_auth.UnreachableError) as caught:
        call(stub.GetServerInfo, pb.GetServerInfoRequest(), seconds=0.5)
    expected = f"what answers at {{}} takes connections and says nothing\nHint: {PORT_HINT}"
    assert str(caught.value) == expected.format(endpoint.url)
    secure = endpoint.url.replace("http:", "https:")
    with pytest.raises(bench_auth.UnreachableError) as caught:
        bench_auth.server_fingerprint(secure)
    assert str(caught.value) == expected.format(secure)


def test_a_server_that_is_busy() -> None:
    with no_bench_server(lambda *_: time.sleep(1.5)) as endpoint:
        stub = AuthServiceStub(channel.channel_to(parse_endpoint(endpoint), None))
        with pytest.raises(bench_auth.TimedOutError) as caught:
            call(stub.GetServerInfo, pb.GetServerInfoRequest(), seconds=0.5)
    assert str(caught.value) == "the server did not answer in time\nHint: Is it very busy? Try again."


def test_an_answer_of_another_release() -> None:
    with (
        no_bench_server(lambda *_: b"\xff") as endpoint,
        pytest.raises(bench_auth.ServerFailedError) as caught,
    ):
        bench_auth.server_info(endpoint)
    assert str(caught.value) == (
        "the server's answer makes no sense (Exception deserializing response!)\n"
        "Hint: Check the endpoint's port; update the older of client and server."
    )


def test_a_line_that_is_slow(listener: socket.socket) -> None:
    """gRPC gives up a connection after its shortest pause between two; a slow line needs longer."""
    with no_bench_server(lambda *_: b"") as endpoint:
        listener.listen()
        target = parse_endpoint(endpoint).address

        def pass_on() -> None:
            client, _ = listener.accept()
            with client, socket.create_connection(target) as server:
                time.sleep(1)
                answers = threading.Thread(target=copy, args=(server, client))
                answers.start()
                copy(client, server)
                answers.join()

        thread = threading.Thread(target=pass_on)
        thread.start()
        assert bench_auth.server_info(url(listener)).server_id == ""
        channel.close_channels()
        thread.join()


def copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def no_bench_server(answer: Callable[..., object]) -> Iterator[str]:
    """A gRPC server whose every call is answered so, in bytes."""

    class Handlers(grpc.GenericRpcHandler):
        def service(self, handler_call_details: object) -> Any:
            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers([Handlers()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://localhost:{port}"
    finally:
        server.stop(None).wait()


def test_another_grpc_server() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with pytest.raises(bench_auth.UnreachableError) as caught:
            bench_auth.server_info(f"http://localhost:{port}")
        assert str(caught.value) == (
            "what answers there is no Bench server of this release (Method not found!)\n"
            "Hint: Check the endpoint's port; update the older of client and server."
        )
    finally:
        server.stop(0).wait()


def test_nothing_goes_in_clear_where_the_endpoint_says_https(listener: socket.socket) -> None:
    listener.listen()
    seen: list[bytes] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    seen.append(connection.recv(1 << 16))

    thread = threading.Thread(target=accept)
    thread.start()
    endpoint = f"https://localhost:{listener.getsockname()[1]}"
    with pytest.raises(bench_auth.UnreachableError, match="cannot be reached"):
        bench_auth.login(endpoint, "ada", "the password")
    channel.close_channels()
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert len(seen) >= 2  # gRPC, and the look at why it failed
    assert {data[:2] for data in seen if data} == {b"\x16\x03"}  # TLS, and no HTTP/2 preface
    assert b"the password" not in b"".join(seen)


@pytest.mark.parametrize("text", ["", "AB:CD", "x" * 64])
def test_a_fingerprint_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_FINGERPRINT", text or " ")
    with pytest.raises(bench_auth.CertificateError) as caught:
        bench_auth.server_info("https://localhost:1")
    assert str(caught.value) == (
        f"{text or ' '!r} is no fingerprint: 64 hexadecimal digits\n"
        "Hint: The server prints it at its start, on a line of its own."
    )


def test_a_ca_file_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hint = "\nHint: Name a PEM file of certificates, or unset it."
    file = tmp_path / "ca.pem"
    monkeypatch.setenv("BENCH_CA_FILE", str(file))
    for reason in ("No such file or directory", "it has no certificate"):
        with pytest.raises(bench_auth.CertificateError) as caught:
            bench_auth.server_info("https://localhost:1")
        assert str(caught.value) == f"BENCH_CA_FILE names {file}: {reason}{hint}"
        file.write_text("nothing")


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
    store.put("http://localhost:1", Credential("1", "ada", "bench_u_x", None))
    assert logins._endpoint(None).url == "http://localhost:1"
    monkeypatch.setenv("BENCH_ENDPOINT", "http://localhost:2")
    assert logins._endpoint(None).url == "http://localhost:2"
    assert logins._endpoint("http://localhost:3").url == "http://localhost:3"


def test_a_login_is_kept_while_the_server_is_away(listener: socket.socket, tmp_path: Path) -> None:
    store = CredentialStore(tmp_path / "config" / "credentials.json")
    store.put(url(listener), Credential("1", "ada", "bench_u_x", None))
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
