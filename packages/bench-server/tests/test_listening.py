import socket

import pytest
from bench_server import listening
from bench_server.errors import StartError
from bench_server.listening import Listening, listen_on


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", Listening(("127.0.0.1:1",), (), "http://localhost:1", ())),
        ("127.0.0.1", Listening(("127.0.0.1:1",), (), "http://localhost:1", ())),
        ("127.0.0.2", Listening(("127.0.0.2:1",), (), "http://127.0.0.2:1", ())),
        ("::1", Listening(("[::1]:1",), (), "http://[::1]:1", ())),
    ],
)
def test_loopback_is_clear(host: str, expected: Listening) -> None:
    assert listen_on(host, 1) == expected


def test_another_address_has_tls_and_loopback_stays_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Box")
    assert listen_on("192.0.2.7", 1) == Listening(
        ("127.0.0.1:1",),
        ("192.0.2.7:1",),
        "https://192.0.2.7:1",
        ("127.0.0.1", "192.0.2.7", "::1", "box", "localhost"),
    )


@pytest.mark.parametrize(("host", "at"), [("0.0.0.0", "0.0.0.0:1"), ("::", "[::]:1"), ("0", "0.0.0.0:1")])
def test_all_addresses_have_tls_and_nothing_is_clear(
    host: str, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Box")
    monkeypatch.setattr(listening, "_own_addresses", lambda: {"192.0.2.7"})
    names = ("127.0.0.1", "192.0.2.7", "::1", "box", "localhost")
    assert listen_on(host, 1) == Listening((), (at,), "https://box:1", names)


def test_hosts_that_will_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StartError, match=r"'no-such-host\.invalid' is no address of this machine"):
        listen_on("no-such-host.invalid", 1)
    monkeypatch.setattr(listening, "_addresses", lambda host: ["127.0.1.1"])
    with pytest.raises(StartError) as caught:
        listen_on("box", 1)
    assert str(caught.value) == (
        "box is 127.0.1.1 on this machine, which no other can reach\n"
        "Hint: Name the address that others use, or 0.0.0.0 for all."
    )
