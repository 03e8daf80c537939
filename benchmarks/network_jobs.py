"""What is measured with a server, against whom, and the targets."""

from functools import partial

from benchmarks import data
from benchmarks.jobs import OURS, Job, Measure, Target

FILES = partial(data.files, mean_bytes=68_000)
SAMPLES = 30_000
"""2 GB of them."""

STREAMING_PEERS = ("mds", "lit_data")


def _job(key: str, group: str, work: str, contenders: tuple[str, ...], *measures: Measure) -> Job:
    return Job(
        key=key,
        group=group,
        work=work,
        make=FILES,
        samples=SAMPLES,
        contenders=contenders,
        measures=measures,
        needs="write",
    )


def _cost(figure: str, title: str, unit: str, most: float) -> Measure:
    return Measure(figure=figure, title=title, unit=unit, targets=(Target(most),), more_is_better=False)


def _speed(
    title: str, *targets: Target, figure: str = "megabytes_per_second", unit: str = "MB/s", panel: str = ""
) -> Measure:
    return Measure(figure=figure, title=title, unit=unit, targets=targets, panel=panel)


BARE = Target(0.8, ("bare_stream",))

NETWORK_JOBS = (
    _job(
        "upload",
        "transfer",
        "upload",
        ("bare_stream", OURS),
        _speed("upload 2 GB over loopback", BARE, panel="Upload, 2 GB"),
    ),
    _job(
        "download",
        "transfer",
        "download",
        ("bare_stream", OURS),
        _speed("download 2 GB over loopback", BARE, panel="Download, 2 GB"),
    ),
    _job(
        "push-linked",
        "link",
        "push_linked",
        ("cp", OURS),
        _speed("push 2 GB to a server of the same user on the same file system", Target(3, ("cp",))),
    ),
    _job(
        "push-again",
        "link",
        "push_again",
        (OURS,),
        _cost("seconds", "push 2 GB that the server has", "s", 1),
        _cost("sent_megabytes", "data sent for that", "MB", 0),
    ),
    _job(
        "calls",
        "calls",
        "calls",
        (OURS,),
        _cost("check_milliseconds", "check a token, 8 clients, 99th percentile", "ms", 20),
        _cost("get_milliseconds", "get a version, the same", "ms", 20),
        _cost("list_milliseconds", "list datasets, the same", "ms", 20),
    ),
    _job(
        "crowd",
        "crowd",
        "crowd",
        (OURS,),
        _speed("32 clients for a minute, each a blob of 8 MiB up and down, over and over"),
        _cost("errors", "errors in that", "errors", 0),
        _cost("grown_megabytes", "what the server's process has grown by after it", "MB", 50),
        _cost("grown_handles", "the same in open handles", "handles", 5),
    ),
    _job(
        "stream",
        "stream",
        "stream",
        (*STREAMING_PEERS, OURS),
        _speed(
            "a shuffled epoch from a server, cold cache, 2 workers",
            Target(1.5, STREAMING_PEERS),
            figure="cold_per_second",
            unit="samples/s",
            panel="Streamed epoch, cold cache",
        ),
        _speed(
            "the second epoch, from the cache",
            figure="cached_per_second",
            unit="samples/s",
            panel="Second epoch, from the cache",
        ),
    ),
    _job(
        "stream-shares",
        "stream",
        "stream_shares",
        (OURS,),
        _speed("such an epoch's rate, of a download's", Target(0.7), figure="of_download", unit="share"),
        _speed("an epoch from the cache, of the local one", Target(0.95), figure="of_local", unit="share"),
    ),
    _job(
        "stream-first-batch",
        "stream",
        "stream_first_batch",
        (*STREAMING_PEERS, OURS),
        _cost("seconds", "the first batch from a server, over the imports", "s", 1),
    ),
)
NETWORK_GROUPS = tuple(dict.fromkeys(job.group for job in NETWORK_JOBS))
