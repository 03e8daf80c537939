"""`bench secret`."""

from bench_cli.lazy import Entry, LazyGroup

secret = LazyGroup(
    name="secret",
    help="Secrets that runs are given: keys and passwords.",
    entries={
        "set": Entry("secret.set:set_", "Keep a secret for runs, or give it another value."),
        "list": Entry("secret.list:list_", "List the names of secrets."),
        "delete": Entry("secret.delete:delete", "Delete a secret."),
    },
)
