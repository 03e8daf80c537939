"""The command tree of `bench`; its leaves are imported when they are called."""

import click

from bench_cli.lazy import Entry, LazyGroup
from bench_cli.version import VERSION

PATH = "Your path"
THINGS = "Things"
MACHINE = "This machine"

bench = LazyGroup(
    name="bench",
    help="From a folder to a training run and a served model, on machines you own.",
    epilog="Every command has --help, with examples.",
    entries={
        "login": Entry("login:login", "Log in to a server.", PATH),
        "logout": Entry("logout:logout", "Log out of a server.", PATH),
        "whoami": Entry("whoami:whoami", "Show who is logged in, and where.", PATH),
        "startproject": Entry(
            "startproject:startproject", "Start a project: register it and write its first files.", PATH
        ),
        "migrate": Entry("migrate:migrate", "Bring the project's datasets and code to the server.", PATH),
        "run": Entry("run:run", "Train the project on its server.", PATH),
        "logs": Entry("logs:logs", "Show what a run says.", PATH),
        "metrics": Entry("metrics:metrics", "Show what a run has logged.", PATH),
        "checkpoints": Entry(
            "checkpoints:checkpoints", "List the checkpoints that a run has made, or fetch one.", PATH
        ),
        "batch": Entry("batch:batch", "Write the samples that a run had at a step to a folder.", PATH),
        "stop": Entry("stop:stop", "Ask a run to end.", PATH),
        "resume": Entry("resume:resume", "Start a new attempt of a run that has ended.", PATH),
        "open": Entry("open:open_", "Open the dashboard, signed in.", PATH),
        "project": Entry("project:project", "Projects and their members.", THINGS),
        "version": Entry("version:version", "What was migrated: versions of a project.", THINGS),
        "runs": Entry("runs:runs", "Runs of a project, and what they left.", THINGS),
        "track": Entry("track:track", "Runs that were started without the server.", THINGS),
        "secret": Entry("secret:secret", "Secrets that runs are given: keys and passwords.", THINGS),
        "data": Entry("data:data", "Datasets, here and on the server.", THINGS),
        "deploy": Entry("deploy:deploy", "Images and containers of runs, without a server.", MACHINE),
        "server": Entry("server:server", "Run a server on this machine.", MACHINE),
        "config": Entry("config:config", "Show and change settings.", MACHINE),
        "doctor": Entry("doctor:doctor", "Look for what is wrong on this machine.", MACHINE),
        "completion": Entry("completion:completion", "Print the script that completes commands.", MACHINE),
    },
)
click.version_option(VERSION, prog_name="bench", message="%(prog)s %(version)s")(bench)
