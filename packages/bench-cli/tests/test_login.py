"""`bench login`, `logout` and `whoami`."""

import json
import subprocess
import sys
from pathlib import Path

import bench_auth
import pytest
from bench_auth.endpoints import PORT_HINT
from cli_tools import PASSWORD, Cli, Result, Server, error, finish
from free_ports import free_port

NOT_THERE = error("the server cannot be reached (Connection refused)", f"Does it run? {PORT_HINT}")


def test_login_in_a_terminal_hides_the_password(cli: Cli, server: Server) -> None:
    with cli.in_terminal("login", "--endpoint", server.endpoint) as terminal:
        terminal.expect_exact("Username: ")
        terminal.sendline("ada")
        terminal.expect_exact("Password: ")
        terminal.sendline(PASSWORD)
        code, shown = finish(terminal)
    assert (code, shown) == (0, f"\nLogged in as ada at {server.endpoint}.\n")
    credentials = cli.home / "bench" / "credentials.json"
    assert (credentials.stat().st_mode & 0o777, credentials.parent.stat().st_mode & 0o777) == (0o600, 0o700)

    assert cli("whoami") == Result(
        0,
        f"User:       ada (owns the server)\nServer:     {server.endpoint}\nToken from: {credentials}\n",
        "",
    )
    assert cli("whoami", "--quiet") == Result(0, "ada\n", "")
    document = json.loads(cli("whoami", "--json").stdout)
    assert document == {
        "username": "ada",
        "endpoint": server.endpoint,
        "is_owner": True,
        "token_from": str(credentials),
    }

    assert cli("logout") == Result(0, f"Logged out of {server.endpoint}.\n", "")
    assert cli("whoami", BENCH_ENDPOINT=server.endpoint) == Result(
        4, "", error(f"there is no login at {server.endpoint}", "Log in: `bench login`.")
    )


def test_a_wrong_password(cli: Cli, server: Server) -> None:
    with cli.in_terminal("login", "--endpoint", server.endpoint, "--username", "ada") as terminal:
        terminal.expect_exact("Password: ")
        terminal.sendline("wrong")
        code, shown = finish(terminal)
    assert code == 4
    assert shown == "\n" + error("wrong name or password", "Check both; the password knows case.")


def test_the_first_account_of_a_server(cli: Cli, tmp_path: Path) -> None:
    ports = ["--port", str(free_port()), "--web-port", str(free_port())]
    started = cli("server", "start", "--data", str(tmp_path / "data"), *ports, "--json")
    try:
        endpoint = json.loads(started.stdout)["endpoint"]
        with cli.in_terminal("login", "--endpoint", endpoint) as terminal:
            terminal.expect_exact(f"The server at {endpoint} has no account yet. Yours will own it.\r\n")
            terminal.expect_exact("Username: ")
            terminal.sendline("grace")
            terminal.expect_exact("Password: ")
            terminal.sendline(PASSWORD)
            terminal.expect_exact("The same again: ")
            terminal.sendline(PASSWORD)
            assert finish(terminal) == (0, f"\nLogged in as grace at {endpoint}.\n")
        assert cli("whoami", "-q").stdout == "grace\n"
    finally:
        cli("server", "stop", "--data", str(tmp_path / "data"))


def test_an_invitation(cli: Cli, server: Server) -> None:
    invited = cli("server", "invite", "--data", str(server.data))
    assert (invited.code, invited.stderr[:23]) == (0, "For one account, until ")
    with cli.in_terminal("login", "--invitation", "--endpoint", server.endpoint) as terminal:
        terminal.expect_exact("Invitation: ")
        terminal.sendline(invited.stdout.strip())
        terminal.expect_exact("Username: ")
        terminal.sendline("invited")
        terminal.expect_exact("Password: ")
        terminal.sendline(PASSWORD)
        terminal.expect_exact("The same again: ")
        terminal.sendline("another password")
        assert finish(terminal) == (1, "\n" + error("the two passwords differ"))
    with cli.in_terminal(
        "login", "--invitation", "--username", "invited", "--endpoint", server.endpoint
    ) as terminal:
        terminal.expect_exact("Invitation: ")
        terminal.sendline(invited.stdout.strip())
        for question in ("Password: ", "The same again: "):
            terminal.expect_exact(question)
            terminal.sendline(PASSWORD)
        assert finish(terminal) == (0, f"\nLogged in as invited at {server.endpoint}.\n")


def test_a_token_made_elsewhere(ada: Cli, server: Server, tmp_path: Path) -> None:
    token = personal_token(ada, server, tmp_path.name)
    other = tmp_path / "other"
    other.mkdir()
    script = Cli(other)
    assert script("login", "--with-token", "--endpoint", server.endpoint, stdin=f"{token}\n") == Result(
        0, f"Logged in as ada at {server.endpoint}.\n", ""
    )
    assert script("logout") == Result(0, f"Logged out of {server.endpoint}.\n", "")
    environment = {"BENCH_TOKEN": token, "BENCH_ENDPOINT": server.endpoint}
    assert script("whoami", **environment) == Result(  # it was forgotten, and not revoked
        0, f"User:       ada (owns the server)\nServer:     {server.endpoint}\nToken from: BENCH_TOKEN\n", ""
    )
    ruled = script("login", "--with-token", stdin=token, **environment)
    ruling = error("BENCH_TOKEN is set and would win over this login", "Unset BENCH_TOKEN first.")
    assert ruled == Result(1, "", ruling)


def test_logging_out_beside_a_token_of_the_environment(cli: Cli, server: Server) -> None:
    assert cli.with_login(server, "ada")("logout", BENCH_TOKEN="bench_p_x") == Result(
        0,
        f"Logged out of {server.endpoint}.\n",
        "Warning: BENCH_TOKEN is still set, and is still used\n",
    )


def test_a_server_for_whom_nobody_vouches(cli: Cli, tmp_path: Path) -> None:
    at = ["--data", str(tmp_path / "data")]
    cli("server", "createuser", "ada", "--owner", "--password-stdin", *at, stdin=PASSWORD)
    ports = ["--port", str(free_port()), "--web-port", str(free_port())]
    started = cli("server", "start", *at, *ports, "--host", "0.0.0.0", "--json")
    try:
        document = json.loads(started.stdout)
        url, fingerprint = f"https://localhost:{ports[1]}", document["fingerprint"]
        assert document["endpoint"].startswith("https://")
        status = cli("server", "status", *at).stdout.splitlines()
        assert status[3] == f"Fingerprint: {fingerprint}"
        nobody = f"nobody whom this machine trusts vouches for the server at {url}, whose fingerprint is "
        hint = "If it is what the server printed at its start, add: --fingerprint FINGERPRINT"
        refused = cli("login", "--with-token", "--endpoint", url, stdin="bench_p_x")
        assert refused == Result(1, "", error(f"{nobody}{fingerprint}", hint))
        for answer, expected in (
            ("n", (1, "\n" + error("nothing was done, as you said no"))),
            ("y", (0, f"\nLogged in as ada at {url}.\n")),
        ):
            with cli.in_terminal("login", "--endpoint", url, "--username", "ada", columns=200) as terminal:
                terminal.expect_exact(f"Nobody vouches for {url}. Its fingerprint is:\r\n{fingerprint}\r\n")
                terminal.expect_exact("Is that what the server printed at its start? [y/N]: ")
                terminal.sendline(answer)
                if answer == "y":
                    terminal.expect_exact("Password: ")
                    terminal.sendline(PASSWORD)
                code, shown = finish(terminal)
                assert (code, shown.removeprefix(answer)) == expected
        assert cli("whoami", "-q") == Result(0, "ada\n", "")  # it is pinned
        other = tmp_path / "other"
        other.mkdir()
        unknown = Cli(other)(
            "login", "--with-token", "--endpoint", url, "--fingerprint", fingerprint, stdin="x"
        )
        assert unknown.code == 4  # the server was trusted, and does not know the token
    finally:
        cli("server", "stop", *at)


def personal_token(ada: Cli, server: Server, name: str) -> str:
    code = (
        "import sys, bench_auth\n"
        "from bench_protos.auth.v1 import auth_pb2, auth_pb2_grpc\n"
        "stub = auth_pb2_grpc.AuthServiceStub(bench_auth.open_channel())\n"
        "request = auth_pb2.CreateTokenRequest(name=sys.argv[1])\n"
        "print(bench_auth.call(stub.CreateToken, request).token)"
    )
    made = subprocess.run(
        [sys.executable, "-c", code, name], env=ada.environment, capture_output=True, text=True, check=True
    )
    return made.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "stdin", "expected"),
    [
        (
            [],
            "",
            Result(
                1,
                "",
                error(
                    "there is no terminal to ask for the password at",
                    "Pipe a token into `bench login --with-token`, or set BENCH_TOKEN.",
                ),
            ),
        ),
        (
            ["--with-token"],
            "",
            Result(
                1,
                "",
                error("standard input has no token", "Pipe one in: bench login --with-token < FILE"),
            ),
        ),
        (
            ["--with-token"],
            "bench_p_unknown\n",
            Result(4, "", error("the token is unknown or was revoked", "Log in again.")),
        ),
        (
            ["--with-token", "--username", "ada"],
            "",
            Result(
                2,
                "",
                error(
                    "--with-token goes with neither --invitation nor --username", "See: bench login --help"
                ),
            ),
        ),
    ],
)
def test_logins_that_cannot_be(
    cli: Cli, server: Server, arguments: list[str], stdin: str, expected: Result
) -> None:
    assert cli("login", *arguments, stdin=stdin, BENCH_ENDPOINT=server.endpoint) == expected


def test_no_server_there(cli: Cli) -> None:
    endpoint = f"http://localhost:{free_port()}"
    assert cli("login", "--endpoint", endpoint) == Result(1, "", NOT_THERE)
    clear = error(
        "'http://bench.example.org:8470' would send the password in clear to another machine",
        "Use https:// there.",
    )
    assert cli("login", "--endpoint", "http://bench.example.org:8470") == Result(1, "", clear)


def test_nobody_is_logged_in(cli: Cli) -> None:
    nobody = Result(4, "", error("there is no login at http://localhost:8470", "Log in: `bench login`."))
    assert cli("logout") == nobody
    assert cli("whoami") == nobody
    assert Cli(cli.home.parent, "bench_cli.kit")("--logout") == nobody


def test_ctrl_c_at_a_prompt(cli: Cli, server: Server) -> None:
    with cli.in_terminal("login", "--endpoint", server.endpoint) as terminal:
        terminal.expect_exact("Username: ")
        terminal.sendintr()
        code, shown = finish(terminal)
    assert (code, shown.replace("^C", "").strip()) == (130, "")
    assert not (cli.home / "bench" / "credentials.json").exists()


def test_debugging_shows_the_traceback(cli: Cli) -> None:
    shown = cli("logout", BENCH_DEBUG="1")
    assert shown.code == 4
    assert shown.stderr.startswith("Traceback (most recent call last):\n")
    assert shown.stderr.endswith(
        "Error: there is no login at http://localhost:8470\nHint: Log in: `bench login`.\n"
    )


def test_the_version_is_the_one_of_the_server(server: Server) -> None:
    from bench_cli.version import VERSION

    assert bench_auth.server_info(server.endpoint).version == VERSION
