"""`bench version`."""

from bench_cli.lazy import Entry, LazyGroup

version = LazyGroup(
    name="version",
    help="What was migrated: versions of a project.",
    entries={
        "list": Entry("version.list:list_", "List the versions of a project."),
        "show": Entry("version.show:show", "Show a version of a project, with its files."),
        "diff": Entry("version.diff:diff", "Show what differs between two versions of a project."),
    },
)
