"""`bench deploy`."""

from bench_cli.lazy import Entry, LazyGroup

deploy = LazyGroup(
    name="deploy",
    help="Images and containers of runs, without a server.",
    entries={
        "build": Entry("deploy.build:build", "Make the image that runs of the project have."),
        "run": Entry("deploy.run:run", "Train the project in a container of this machine."),
        "shell": Entry("deploy.shell:shell", "Look around in a container of this machine."),
    },
)
