"""`bench data`."""

from bench_cli.lazy import Entry, LazyGroup

data = LazyGroup(
    name="data",
    help="Datasets, here and on the server.",
    entries={
        "list": Entry("data.list:list_", "List the datasets of this machine and of the project."),
        "show": Entry("data.show:show", "Show a dataset."),
        "verify": Entry("data.verify:verify", "Read a dataset whole and find every damaged byte."),
        "push": Entry("data.push:push", "Send a dataset to the server."),
        "pull": Entry("data.pull:pull", "Fetch a dataset from the server."),
        "versions": Entry("data.versions:versions", "List the versions of a dataset on the server."),
        "delete": Entry("data.delete:delete", "Delete a dataset, or a version of it, on the server."),
    },
)
