"""The HTTP server: requests that are too large, a certificate, and how it ends."""

import http.client
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench_server.accounts import services
from bench_server.errors import StartError
from bench_server.web.serving import BODY_BYTES, WebServer
from free_ports import free_port
from server_tools import new_user


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def web(server_address: str, port: int) -> Iterator[WebServer]:
    new_user()
    server = WebServer([f"127.0.0.1:{port}"])
    yield server
    server.stop()


def request(port: int, method: str, path: str, **fields: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, headers=fields)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_it_serves_those_who_name_it(web: WebServer, port: int) -> None:
    assert request(port, "GET", "/sign-in")[0] == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example"):
        status, text = request(port, "GET", "/sign-in", Host=host)
        assert (status, "This request cannot be answered" in text) == (400, True)
    assert request(port, "GET", "/sign-in", Host=f"[::1]:{port}")[0] == 200


def test_who_calls_cannot_say_to_be_elsewhere(
    web: WebServer, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "has_accounts", lambda: False)
    headers = {"X-Forwarded-For": "203.0.113.9", "Host": f"localhost:{port}"}
    assert "Welcome to Bench" in request(port, "GET", "/first-account", **headers)[1]


@pytest.mark.parametrize("length", [str(BODY_BYTES + 1), "9" * 30])
def test_large_requests_are_refused_unread(web: WebServer, port: int, length: str) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(
            f"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()
        )
        assert connection.recv(1000).startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))


def test_and_cut_off_where_they_do_not_say(web: WebServer, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"40000\r\n" + bytes(0x40000) + b"\r\n"
        try:
            for _ in range(40):
                connection.sendall(piece)
            answer = connection.recv(1000)
        except ConnectionError:
            answer = b""
        assert b"200" not in answer[:15]
    assert request(port, "GET", "/sign-in")[0] == 200


def test_a_request_that_runs_is_finished(
    server_address: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow() -> bool:
        entered.set()
        return leave.wait(60)

    monkeypatch.setattr(services, "has_accounts", slow)
    server = WebServer([f"127.0.0.1:{port}"])
    found: list[tuple[int, str]] = []
    visitor = threading.Thread(target=lambda: found.append(request(port, "GET", "/sign-in")))
    visitor.start()
    assert entered.wait(60)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    leave.set()
    for thread in (visitor, stopping):
        thread.join()
    assert found[0][0] == 200


@pytest.mark.needs("openssl")
def test_a_certificate(
    server_address: str, port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, key = certificate_for_localhost(tmp_path)
    server = WebServer([f"127.0.0.1:{port}"], (certificate, key))
    try:
        first = shown(port)
        assert first == ssl.PEM_cert_to_DER_cert(certificate.read_text())
        certificate_for_localhost(tmp_path)
        second = ssl.PEM_cert_to_DER_cert(certificate.read_text())
        assert shown(port) in (first, second)  # the handshake that finds it changed may show either
        assert shown(port) == second
        key.write_text("no key")
        assert shown(port) == second
        assert "the certificate stays the old one" in caplog.text
    finally:
        server.stop()
    with pytest.raises(StartError, match="cannot be used"):
        WebServer([f"127.0.0.1:{port}"], (certificate, key))


def shown(port: int) -> bytes | None:
    """The certificate that the server shows; a page is asked for too."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(b"GET /invitation HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        while connection.recv(1 << 16):
            pass
        return connection.getpeercert(binary_form=True)


def certificate_for_localhost(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*words.split(), *names], check=True, capture_output=True)
    return certificate, key


def test_a_taken_port(web: WebServer, port: int) -> None:
    with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}"):
        WebServer([f"127.0.0.1:{port}"])
