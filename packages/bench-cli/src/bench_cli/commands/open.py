"""`bench open`."""

import os
import sys
import webbrowser

import click

from bench_cli.command import command
from bench_cli.options import project_option
from bench_cli.output import Output


@command(
    "open",
    examples=["bench open", "bench open wide", "bench open members --project catdog", "bench open --link"],
    shows=True,
)
@click.argument("what", required=False, metavar="[RUN|projects|project|members|tokens]")
@click.option("--link", is_flag=True, help="Print the link instead of opening it.")
@project_option
def open_(output: Output, what: str | None, link: bool, project: str | None) -> None:
    """Open the dashboard, signed in.

    By default it shows this folder's project, or all of yours. RUN is a run's name, its id or the beginning
    of that. The link signs in once, within a minute.
    """
    from bench_auth import call, open_channel
    from bench_protos.auth.v1.auth_pb2 import CreateWebLoginRequest
    from bench_protos.auth.v1.auth_pb2_grpc import AuthServiceStub

    from bench_cli import cloud

    stub = AuthServiceStub(open_channel(cloud.endpoint()))
    made = call(stub.CreateWebLogin, CreateWebLoginRequest(path=_path(what, project)))
    document = {"url": made.url, "expire_time": cloud.iso(made.expire_time)}
    if not link and _opened(made.url):
        output.result("Opened the dashboard in your browser.", document)
        return
    if not link:
        output.note("There is no browser here. Open this within a minute:")
    output.result(made.url, document, made.url)


def _path(what: str | None, project: str | None) -> str:
    """The page's path on the server."""
    from bench_cli import cloud, sources

    if what == "tokens":
        return "/account/tokens"
    if what == "projects" or (what is None and sources.project(project).value is None):
        return "/"
    path = f"/projects/{cloud.find_project(project).id}"
    if what in (None, "project"):
        return path
    if what == "members":
        return f"{path}/members"
    from bench_cli.runs import find_run, runs_of

    return f"{path}/runs/{find_run(runs_of(project), what).run_id}"


def _opened(url: str) -> bool:
    """Whether a browser with windows took it: one in the terminal would keep nobody signed in."""
    has_windows = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(has_windows) and webbrowser.open(url)
