"""The code of the README runs as it stands."""

import re
from pathlib import Path
from typing import Any

import bench_track
import pytest
from spool_reading import media, notes, points


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_TRACK", str(tmp_path / "track"))
    monkeypatch.setenv("BENCH_OUTPUT", str(tmp_path / "output"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    # What is in this section is run by the tests of each adapter.
    readme = re.sub("## With what you have\n.*?\n(?=## )", "", readme, flags=re.DOTALL)
    for block in re.findall("```python\n(.*?)```", readme, re.DOTALL):
        exec(block, names)
    names["run"].finish()
    folder = tmp_path / "track"
    assert len(points(folder)) == 100
    assert [record.step for record in media(folder)] == [100, 100]
    assert notes(folder, "summary") == [{"values": {"best": 0.01}}]
    saved = [(note["step"], note["best"]) for note in notes(folder, "checkpoint")]
    assert saved == [(250, False), (500, False), (750, False), (999, True), (999, False)]
    with bench_track.init() as run:
        resumed = run.resume()
    assert resumed is not None
    assert (resumed.path / ".metadata").exists()
