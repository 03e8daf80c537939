"""`bench runs`."""

from bench_cli.lazy import Entry, LazyGroup

runs = LazyGroup(
    name="runs",
    help="Runs of a project, and what they left.\n\nWithout a command: list them.",
    default="list",
    entries={
        "list": Entry("runs.list:list_", "List the runs of a project."),
        "show": Entry("runs.show:show", "Show a run: its attempts, and what its training said of itself."),
        "logs": Entry("logs:logs", "Show what a run says."),
        "stop": Entry("stop:stop", "Ask a run to end."),
        "resume": Entry("resume:resume", "Start a new attempt of a run that has ended."),
        "rerun": Entry("runs.rerun:rerun", "Repeat a run: the same code, data and packages."),
        "artifacts": Entry("runs.artifacts:artifacts", "List the files that a run left, or fetch them."),
        "delete": Entry("runs.delete:delete", "Delete a run with its logs and files."),
    },
)
