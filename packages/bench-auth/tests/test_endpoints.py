import pytest
from bench_auth.endpoints import Endpoint, parse_endpoint
from bench_auth.errors import EndpointError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://localhost:8470", Endpoint("http://localhost:8470", "dns:///localhost:8470", False)),
        ("http://127.0.0.1:1/", Endpoint("http://127.0.0.1:1", "dns:///127.0.0.1:1", False)),
        ("http://[::1]:8470", Endpoint("http://[::1]:8470", "dns:///[::1]:8470", False)),
        (
            "https://Bench.Example.org:443",
            Endpoint("https://bench.example.org:443", "dns:///bench.example.org:443", True),
        ),
        ("unix:/run/rpc.sock", Endpoint("unix:/run/rpc.sock", "unix:/run/rpc.sock", False)),
        ("unix:///run/rpc.sock", Endpoint("unix:/run/rpc.sock", "unix:/run/rpc.sock", False)),
    ],
)
def test_endpoints(text: str, expected: Endpoint) -> None:
    assert parse_endpoint(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost:8470",
        "localhost",
        "http://localhost",
        "http://:8470",
        "http://localhost:99999",
        "http://localhost:8470/path",
        "http://ada:secret@localhost:8470",
        "http://[::1:8470",
        "ftp://localhost:8470",
        "unix:rpc.sock",
    ],
)
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(EndpointError) as caught:
        parse_endpoint(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    "host", ["example.org", "192.168.1.7", "[2001:db8::1]", "localhost.example.org", "0.0.0.0"]
)
def test_nothing_goes_in_clear_to_another_machine(host: str) -> None:
    with pytest.raises(EndpointError, match="in clear"):
        parse_endpoint(f"http://{host}:8470")
    assert parse_endpoint(f"https://{host}:8470").secure
