import datetime

from bench_deploy import (
    BundleFile,
    DatasetChange,
    FileKind,
    PinnedDataset,
    ProjectVersion,
    VersionDiff,
    diff_versions,
)

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def version(**datasets: int) -> ProjectVersion:
    pins = [
        PinnedDataset(dataset=name, version_number=number, fingerprint=f"{number}", is_deleted=False)
        for name, number in datasets.items()
    ]
    return ProjectVersion(
        version_number=1,
        bundle_digest="",
        bundle_bytes=0,
        file_count=0,
        datasets=tuple(pins),
        git_commit="",
        is_dirty=False,
        message="",
        creator="",
        create_time=NOW,
    )


def file(path: str, digest: str, kind: FileKind = FileKind.PLAIN) -> BundleFile:
    return BundleFile(path, kind, len(digest), digest)


def test_every_kind_of_change() -> None:
    old = [file("a", "1"), file("b", "1"), file("c", "1"), file("d", "1")]
    new = [file("a", "1"), file("b", "2"), file("c", "1", FileKind.EXECUTABLE), file("e", "1")]
    found = diff_versions((version(same=1, went=1, moved=1), old), (version(same=1, came=4, moved=2), new))
    assert found == VersionDiff(
        added=(new[3],),
        removed=(old[3],),
        changed=((old[1], new[1]), (old[2], new[2])),
        datasets=(
            DatasetChange(dataset="came", old=None, new=4),
            DatasetChange(dataset="moved", old=1, new=2),
            DatasetChange(dataset="went", old=1, new=None),
        ),
    )


def test_nothing() -> None:
    same = (version(train=1), [file("a", "1")])
    assert diff_versions(same, same) == VersionDiff(added=(), removed=(), changed=(), datasets=())
