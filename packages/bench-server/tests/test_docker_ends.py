"""How runs end on a real Docker daemon: a full disk, an image that cannot be made, all kinds of output."""

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from bench_protos.runs.v1 import runs_pb2 as pb
from matrix_tools import own_images
from runner_tools import Runs, running

pytestmark = pytest.mark.needs("dockerd", "root")

SMALL: dict[str, Any] = {"cpu_millis": 1000, "memory_bytes": 256 << 20}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("server")
    with own_images(folder / "data"), running(folder, "docker") as found:
        yield found


def test_a_full_disk_is_said(runs: Runs) -> None:
    script = (
        "import os\n"
        "if os.environ['BENCH_ATTEMPT'] == '2':\n"
        "    with open('/bench/output/weights', 'wb', buffering=0) as file:\n"
        "        while True: file.write(b'x' * 4096)\n"
    )
    run = runs.submit(script, **SMALL)
    runs.wait(run)
    output = runs.folder(run) / "output"
    owner = output.stat()
    options = f"size=8m,mode=700,uid={owner.st_uid},gid={owner.st_gid}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", output], check=True)
    try:
        runs.resume(run)
        runs.wait(run, pb.RUN_STATE_QUEUED, pb.RUN_STATE_BUILDING)
        attempt = runs.wait(run)
    finally:
        subprocess.run(["umount", "--lazy", output], check=True)
    assert (attempt.attempt_number, attempt.reason) == (2, "disk_full"), attempt
    assert attempt.message == "its disk has no room left (output)"
    assert b"No space left on device" in runs.log(run)


def test_a_requirement_that_does_not_exist_is_said(runs: Runs) -> None:
    name = "bench-no-such-distribution"
    run = runs.submit("", files={"requirements.txt": f"{name}==1.0\n"}, **SMALL)
    attempt = runs.wait(run)
    assert (attempt.state, attempt.reason) == (pb.RUN_STATE_FAILED, "image_failed")
    assert name in attempt.message
    assert not attempt.HasField("start_time")
    assert name.encode() in runs.log(run, pb.LOG_SOURCE_BUILD)
    assert runs.log(run) == b""


def test_endless_output_is_kept_whole_and_takes_no_place_twice(runs: Runs) -> None:
    size = 300_000_000
    lines = f"for _ in range({size // 1000}): sys.stdout.buffer.write(line)"
    script = f"import sys\nline = b'x' * 999 + b'\\n'\n{lines}\n"
    run = runs.submit(script, **SMALL)
    attempt = runs.wait(run)
    assert (attempt.reason, attempt.log_bytes) == ("succeeded", size)
    stored = runs.server.data / "logs" / run / "1"
    assert stored.stat().st_size == size
    spool = runs.folder(run) / "1" / "spool" / "output"
    assert spool.stat().st_blocks * 512 < 64 << 20
    runs.delete(run)


def test_no_output_is_no_log(runs: Runs) -> None:
    run = runs.submit("", **SMALL)
    attempt = runs.wait(run)
    assert (attempt.reason, attempt.log_bytes, runs.log(run)) == ("succeeded", 0, b"")


def test_progress_bars_and_bytes_that_are_no_text_stay_as_they_are(runs: Runs) -> None:
    script = (
        "import sys, time\n"
        "for i in range(101): print(f'\\r{i:3}% \\x1b[32m', end='', file=sys.stderr); time.sleep(0.01)\n"
        "sys.stdout.buffer.write(bytes(range(256)) + b'\\xff\\xfe no end of line')\n"
    )
    run = runs.submit(script, **SMALL)
    assert runs.wait(run).reason == "succeeded"
    bar = b"".join(b"\r%3d%% \x1b[32m" % number for number in range(101))
    assert runs.log(run) == bar + bytes(range(256)) + b"\xff\xfe no end of line"


def test_a_grandchild_that_keeps_the_output_open_ends_with_the_training(runs: Runs) -> None:
    script = (
        "import subprocess, sys\n"
        "loop = 'import time\\nwhile True: print(\"still\", flush=True); time.sleep(0.05)'\n"
        "subprocess.Popen([sys.executable, '-c', loop], start_new_session=True)\n"
        "print('done', flush=True)\n"
    )
    run = runs.submit(script, **SMALL)
    attempt = runs.wait(run)
    assert (attempt.reason, attempt.exit_code) == ("succeeded", 0)
    log = runs.log(run)
    assert log.replace(b"still\n", b"") == b"done\n"
    assert attempt.log_bytes == len(log)
