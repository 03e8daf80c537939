"""The `bench-server` command."""

import argparse
import getpass
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench_core import BenchError
from filelock import FileLock, Timeout

from bench_server import operations
from bench_server.background import bounded_log
from bench_server.certificates import Certificate, given_certificate, own_certificate
from bench_server.data_folder import DataFolder, default_path, open_folder, sweep
from bench_server.errors import CertificateError, FolderError, ServerError
from bench_server.listening import EXPOSED_VARIABLE, LOOPBACK, Listening, listen_on
from bench_server.running import announced
from bench_server.supervisor import Child, Supervisor
from bench_server.version import VERSION

DEFAULT_PORT = 8470

RENEW_SECONDS = 24 * 3600.0
"""Between looks at whether the certificate must be renewed."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parsed = _parser().parse_args(arguments)
    os.umask(0o077)  # password hashes, secrets and other people's data
    action: Callable[[argparse.Namespace], None] = parsed.action
    try:
        action(parsed)
    except BenchError as error:
        if os.environ.get("BENCH_DEBUG"):
            raise
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench-server", description="The backend of Bench.")
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    start = _command(commands, "start", start_server, "run the server until Ctrl-C or SIGTERM")
    start.add_argument("--port", type=_port, default=DEFAULT_PORT, help="for gRPC; default %(default)s")
    start.add_argument("--web-port", type=_port, help="for the pages; default: the one after --port")
    start.add_argument(
        "--host", default=LOOPBACK, help="where to listen; 0.0.0.0: everywhere; default %(default)s"
    )
    start.add_argument(
        "--name",
        action="append",
        default=[],
        help="another name or address others reach it by; may be repeated",
    )
    start.add_argument("--certificate", type=Path, help="PEM, instead of the server's own, with --key")
    start.add_argument("--key", type=Path, help="PEM, of the certificate")
    start.add_argument("--no-runner", action="store_true", help="serve only: runs that are submitted wait")
    user = _command(commands, "createuser", create_user, "make an account")
    user.add_argument("username")
    user.add_argument("--owner", action="store_true", help="the server's owner: the first account")
    user.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    _command(commands, "invite", invite, "make an invitation for one person, valid for a week")
    checking = _command(commands, "check", check_data, "look for damage in the server's data")
    checking.add_argument("--digests", action="store_true", help="read every blob and compare its digest")
    backup = _command(commands, "backup", back_up, "copy the data of a server, running or not, into a folder")
    backup.add_argument("target", type=Path, help="given again, it gets only what is new")
    restoring = _command(commands, "restore", restore, "make a server's folder from a backup")
    restoring.add_argument("source", type=Path)
    garbage = _command(commands, "gc", collect_garbage, "find what nothing needs; remove it with --delete")
    garbage.add_argument("--delete", action="store_true", help="remove it")
    quota = _command(commands, "quota", manage_quota, "list what projects take and may take, or set a limit")
    quota.add_argument("project_id", nargs="?", help="of the project whose limit is set")
    quota.add_argument("size", type=_size, nargs="?", help="such as 500MB, 20GB, 1.5TB; 0: no limit")
    _command(commands, "disk", show_disk, "what the server's data takes on the disk")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 1 to 65535")
    return int(text)


def _size(text: str) -> int:
    try:
        return operations.parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    action: Callable[[argparse.Namespace], None],
    help: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=help, description=help)
    command.add_argument(
        "--data", type=Path, default=default_path(), help="the server's folder; default %(default)s"
    )
    command.set_defaults(action=action)
    return command


def start_server(parsed: argparse.Namespace) -> None:
    """Run the server in the foreground.

    Raises:
        ServerError: It cannot start.
    """
    listening = listen_on(parsed.host, parsed.port)
    folder = open_folder(parsed.data, create=True)
    pages = listen_on(parsed.host, parsed.web_port or parsed.port + 1)
    os.environ["BENCH_SERVER_WEB_URL"] = pages.url
    os.environ["BENCH_SERVER_WEB_NAMES"] = ",".join([*pages.names, *parsed.name])
    if listening.secure:
        os.environ[EXPOSED_VARIABLE] = "1"
    with _only_server(folder):
        certificate = _certificate(parsed, folder, listening)
        operations.set_up_django(folder)
        from bench_server.database import migrate

        migrate(folder)
        sweep(folder)
        rpc = Child("rpc", ["-m", "bench_server.rpc", *_rpc_arguments(folder, listening, certificate)])
        web = Child("web", ["-m", "bench_server.web", *_web_arguments(pages, certificate)])
        runner = [] if parsed.no_runner else [Child("runner", ["-m", "bench_server.runner"])]

        def ready() -> None:
            _say(f"Bench is ready on {listening.url}")
            if certificate is not None:
                _say(f"Fingerprint: {certificate.fingerprint}")
            _say(f"Web: {pages.url}")
            _say(f"Data: {folder.path}")
            tell_ready()

        addresses = [f"unix:{folder.socket}", *listening.clear, *listening.secure]
        announcing = announced(
            folder,
            addresses=addresses,
            endpoint=listening.url,
            fingerprint=certificate.fingerprint if certificate else None,
            web_url=pages.url,
        )
        with announcing as tell_ready, bounded_log(folder.log):
            Supervisor([rpc, web, *runner], _say).run(ready)
        folder.socket.unlink(missing_ok=True)


def _certificate(parsed: argparse.Namespace, folder: DataFolder, listening: Listening) -> Certificate | None:
    if bool(parsed.certificate) != bool(parsed.key):
        raise CertificateError(
            "a certificate and its key come together", hint="Give both --certificate and --key."
        )
    if not listening.secure:
        if parsed.certificate:
            raise CertificateError(
                f"{parsed.host} is this machine alone, which needs no certificate",
                hint="Name the address that others use with --host.",
            )
        return None
    if parsed.certificate:
        return given_certificate(parsed.certificate.absolute(), parsed.key.absolute())
    names = [*listening.names, *parsed.name]
    threading.Thread(target=_keep_renewed, args=(folder, names), daemon=True).start()
    return own_certificate(folder, names)


def _keep_renewed(folder: DataFolder, names: list[str]) -> None:
    while True:
        time.sleep(RENEW_SECONDS)
        try:
            own_certificate(folder, names)
        except (CertificateError, OSError) as error:
            _say(f"the certificate was not renewed: {error}")


def _rpc_arguments(folder: DataFolder, listening: Listening, certificate: Certificate | None) -> list[str]:
    clear = [f"--clear={address}" for address in (f"unix:{folder.socket}", *listening.clear)]
    if certificate is None:
        return clear
    secure = [f"--secure={address}" for address in listening.secure]
    return [*clear, *secure, f"--chain={certificate.chain}", f"--key={certificate.key}"]


def _web_arguments(pages: Listening, certificate: Certificate | None) -> list[str]:
    if certificate is None:
        return list(pages.clear)
    return [*pages.secure, f"--chain={certificate.chain}", f"--key={certificate.key}"]


def create_user(parsed: argparse.Namespace) -> None:
    """Make an account.

    Raises:
        ServerError: The name or password will not do.
    """
    password = sys.stdin.readline().rstrip("\n") if parsed.password_stdin else _ask_password()
    username = operations.create_user(parsed.data, parsed.username, password, owner=parsed.owner)
    print(f"Made the account {username}.")


def invite(parsed: argparse.Namespace) -> None:
    """Make an invitation and print it."""
    invitation = operations.invite(parsed.data)
    print(invitation.secret)
    _say(f"For one account, until {invitation.expire_time:%Y-%m-%d %H:%M} UTC.")


def check_data(parsed: argparse.Namespace) -> None:
    """Print what is wrong.

    Raises:
        ServerError: Something is.
    """
    problems = operations.check(parsed.data, digests=parsed.digests)
    print("\n".join(problems) or "No problems.")
    if problems:
        raise operations.damaged(problems)


def back_up(parsed: argparse.Namespace) -> None:
    """Copy a server's data.

    Raises:
        ServerError: It cannot be copied.
    """
    copied = operations.back_up(parsed.data, parsed.target)
    print(f"Copied the database and {copied:,} new blobs into {parsed.target}.")


def restore(parsed: argparse.Namespace) -> None:
    """Make a server's folder from a backup.

    Raises:
        FolderError: There is no backup, or the folder is not empty.
    """
    operations.restore(parsed.source, parsed.data)
    print(f"Restored {parsed.data}. Look it over: bench-server check --digests --data {parsed.data}")


def collect_garbage(parsed: argparse.Namespace) -> None:
    """Print what no dataset and no run needs, or remove it."""
    found = operations.collect_garbage(parsed.data, remove=parsed.delete)
    what = (
        f"{found.blobs:,} blobs, {found.parts:,} unfinished uploads, "
        f"{found.folders:,} folders of deleted runs, {found.cached:,} cached files "
        f"and {found.images:,} layers of images, {found.bytes:,} bytes"
    )
    if found.problem:
        _say(f"Images: {found.problem}.")
    print(f"Removed {what}." if parsed.delete else f"{what} that nothing needs. Remove them with --delete.")


def manage_quota(parsed: argparse.Namespace) -> None:
    """Print what projects take and may take, or set a limit.

    Raises:
        ServerError: There is no such project, or no size is given.
    """
    if parsed.project_id and parsed.size is None:
        raise ServerError("no size is given", hint="Name one, such as 20GB; 0: no limit.")
    if parsed.project_id:
        operations.set_quota(parsed.data, parsed.project_id, parsed.size)
    for project in operations.list_quotas(parsed.data):
        limit = f"{project.quota_bytes:,}" if project.quota_bytes else "no limit"
        stored = f"{project.stored_bytes:>20,} of {limit:<20}"
        print(f"{project.project_id}  {stored}  {project.name} ({project.creator or '-'})")


def show_disk(parsed: argparse.Namespace) -> None:
    """Print what the data takes."""
    for part in operations.disk_usage(parsed.data):
        print(f"{part.bytes:>20,}  {part.kind}" + (f"  {part.project}" if part.project else ""))


def _ask_password() -> str:
    if not sys.stdin.isatty():
        raise ServerError("there is nobody to ask for a password", hint="Pipe it in with --password-stdin.")
    password = getpass.getpass("Password: ")
    if getpass.getpass("The same again: ") != password:
        raise ServerError("the two passwords differ")
    return password


def _only_server(folder: DataFolder) -> FileLock:
    lock = FileLock(folder.lock, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise FolderError(
            f"a server runs with {folder.path} already", hint="Stop it, or name another folder with --data."
        ) from None
    return lock


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
