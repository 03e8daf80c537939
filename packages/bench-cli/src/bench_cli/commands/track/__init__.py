"""`bench track`."""

from bench_cli.lazy import Entry, LazyGroup

track = LazyGroup(
    name="track",
    help="Runs that were started without the server.",
    entries={"sync": Entry("track.sync:sync", "Send runs that were started elsewhere to the server.")},
)
