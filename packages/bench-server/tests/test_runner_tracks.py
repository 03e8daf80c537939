"""What an attempt's agent did not send of its tracks is taken from the spool; nothing there is trusted."""

import os
from pathlib import Path

import pytest
from bench_server.runner import tracks
from bench_server.tracks import ingest
from bench_server.tracks.models import Series, Track
from run_tools import new_run
from track_tools import WRITER, points_file

pytestmark = pytest.mark.usefixtures("server_address")


def counts(run_id: object) -> dict[str, int]:
    rows = Series.objects.filter(track__attempt__run=run_id)  # type: ignore[misc]
    return dict(rows.values_list("name", "count"))


def test_the_rest_is_taken_once(tmp_path: Path) -> None:
    data, attempt = points_file([1.0] * 5000), new_run().last_attempt
    (tmp_path / "track").mkdir()
    (tmp_path / "track" / f"{WRITER}.records").write_bytes(data + b"cut")
    ingest.append(attempt, WRITER, 0, [data[:1000]])
    for _ in range(2):
        tracks.drain(attempt, tmp_path)
        assert counts(attempt.run_id) == {"loss": 5000}
    assert Track.objects.get(attempt=attempt).received == len(data)


def test_what_is_no_track_is_passed_over(tmp_path: Path) -> None:
    attempt, folder = new_run().last_attempt, tmp_path / "spool" / "track"
    tracks.drain(attempt, tmp_path / "absent")
    folder.mkdir(parents=True)
    (tmp_path / "secret").write_bytes(points_file([1.0], "stolen"))
    (folder / "0-1-00000000.records").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "0-2-00000000.records")
    (folder / "0-3-00000000.records").mkdir()
    (folder / "0-4-00000000.records").write_bytes(b"no records at all")
    (folder / "of another kind.records").write_bytes(points_file([1.0], "other"))
    (folder / "0-5-00000000.records").write_bytes(points_file([1.0]))
    tracks.drain(attempt, tmp_path / "spool")
    assert counts(attempt.run_id) == {"loss": 1}


def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    attempt, elsewhere = new_run().last_attempt, tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"{WRITER}.records").write_bytes(points_file([1.0]))
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "track").symlink_to(elsewhere)
    tracks.drain(attempt, tmp_path / "spool")
    assert counts(attempt.run_id) == {}
