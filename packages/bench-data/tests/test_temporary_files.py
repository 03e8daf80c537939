import os
import signal
import tempfile
from pathlib import Path

import process_tools
import pytest
from bench_data.temporary_files import PREFIX, TemporaryCopy


@pytest.mark.parametrize("name", ["image.jpg", "0", "1", ".lock", "Bär 🐻.png", "x" * 255])
def test_copies_of_one_name_live_side_by_side_and_go_with_their_objects(name: str) -> None:
    copies = [TemporaryCopy(name, [b"%d" % number, b"!"]) for number in range(4)]
    paths = [Path(copy.path) for copy in copies]
    assert [path.name for path in paths] == [name] * 4
    assert [path.read_bytes() for path in paths] == [b"0!", b"1!", b"2!", b"3!"]
    folder = os.path.commonpath(paths)
    del copies[:2]
    assert [path.exists() for path in paths] == [False, False, True, True]
    again = TemporaryCopy(name, [b"again"])
    assert Path(again.path).read_bytes() == b"again"
    del copies, again
    assert os.listdir(folder) == [".lock"]


def test_a_copy_that_cannot_be_made_leaves_nothing() -> None:
    before = TemporaryCopy("before", [b""])

    def pieces() -> "list[bytes]":
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        TemporaryCopy("image.jpg", (piece for _ in "1" for piece in pieces()))
    assert sorted(os.listdir(Path(before.path).parent)) == [".lock", "before"]


FORK = """
import os
from bench_data.temporary_files import TemporaryCopy
copy = TemporaryCopy("image.jpg", [b"data"])
child = os.fork()
if not child:
    del copy
    os._exit(0)
os.waitpid(child, 0)
print(os.path.exists(copy.path))
"""


def test_a_forked_childs_copy_of_the_object_removes_nothing() -> None:
    assert process_tools.run(FORK) == "True\n"


MAKE_AND_WAIT = """
from bench_data.temporary_files import TemporaryCopy
copy = TemporaryCopy("image.jpg", [b"data"])
print(copy.path, flush=True)
input()
"""


def test_what_a_killed_process_left_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with process_tools.ended(process_tools.start(MAKE_AND_WAIT, stdin=-1)) as living:
        kept = Path(process_tools.read_line(living.stdout))
        with process_tools.ended(process_tools.start(MAKE_AND_WAIT, stdin=-1)) as killed:
            left = Path(process_tools.read_line(killed.stdout))
            process_tools.kill_group(killed, signal.SIGKILL)
            killed.wait()
        assert left.exists()
        process_tools.run(MAKE_AND_WAIT.replace("input()", ""))
        assert not left.parent.exists()
        assert kept.read_bytes() == b"data"
    assert [path.name.startswith(PREFIX) for path in tmp_path.glob("bench*")] == [True]
