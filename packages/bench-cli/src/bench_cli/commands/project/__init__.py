"""`bench project`."""

from bench_cli.lazy import Entry, LazyGroup

project = LazyGroup(
    name="project",
    help="Projects and their members.",
    entries={
        "list": Entry("project.list:list_", "List your projects."),
        "show": Entry("project.show:show", "Show a project."),
        "create": Entry("project.create:create", "Make a project."),
        "members": Entry("project.members:members", "Who is in a project."),
        "delete": Entry("project.delete:delete", "Delete a project and all that is in it."),
    },
)
