"""What a run is made of: pure."""

import pytest
from bench_core import ProjectFileError, RunSettings
from bench_deploy import RunSpec, SubmitOptions
from bench_deploy.launch import launch_command
from bench_deploy.submit_run import assemble_spec

CODE = RunSpec(bundle_digest="ab" * 32, datasets={"train": 3}, command=())


@pytest.mark.parametrize(
    ("settings", "gpus", "expected"),
    [
        (RunSettings(), 0, "python TrainScript.py"),
        (RunSettings(command=("./train.sh", "--fast")), 2, "./train.sh --fast"),
        (
            RunSettings(launcher="torchrun", command=("python", "TrainScript.py", "--lr", "1")),
            2,
            "torchrun --standalone --nproc-per-node=2 TrainScript.py --lr 1",
        ),
        (
            RunSettings(launcher="torchrun", command=("/usr/bin/python3.11", "-m", "train")),
            0,
            "torchrun --standalone --nproc-per-node=1 -m train",
        ),
        (
            RunSettings(launcher="accelerate", command=("TrainScript.py",)),
            4,
            "accelerate launch --num_processes=4 TrainScript.py",
        ),
    ],
)
def test_the_command(settings: RunSettings, gpus: int, expected: str) -> None:
    assert " ".join(launch_command(settings, gpus)) == expected


@pytest.mark.parametrize(
    "command", [("python", "-c", "pass"), ("python",), ("./train.sh",), ("python", "-m")]
)
def test_a_launcher_takes_scripts_only(command: tuple[str, ...]) -> None:
    with pytest.raises(ProjectFileError, match="which torchrun cannot start"):
        launch_command(RunSettings(launcher="torchrun", command=command), 1)


def test_without_options_it_is_as_the_project_file_says() -> None:
    assert assemble_spec(CODE, RunSettings(), SubmitOptions()) == RunSpec(
        bundle_digest="ab" * 32,
        datasets={"train": 3},
        command=("python", "TrainScript.py"),
        grace_seconds=60,
    )
    settings = RunSettings(
        launcher="torchrun",
        gpus=2,
        cpus=0.5,
        memory="2GB",
        grace_seconds=5,
        max_hours=1.5,
        retry=2,
        environment={"LR": "1"},
    )
    assert assemble_spec(CODE, settings, SubmitOptions()) == RunSpec(
        bundle_digest="ab" * 32,
        datasets={"train": 3},
        command=("torchrun", "--standalone", "--nproc-per-node=2", "TrainScript.py"),
        environment={"LR": "1"},
        gpu_count=2,
        cpu_millis=500,
        memory_bytes=2_000_000_000,
        grace_seconds=5,
        limit_seconds=5400,
        retry_count=2,
    )


def test_options_win() -> None:
    settings = RunSettings(
        launcher="torchrun",
        gpus=2,
        cpus=4,
        memory="2GB",
        max_hours=1,
        retry=2,
        environment={"A": "1", "B": "1"},
    )
    options = SubmitOptions(
        command=("bash", "-c", "exit 3"),
        environment={"B": "2"},
        gpus=0,
        cpus=0.0001,
        memory_bytes=5,
        max_hours=0.0001,
        retry=0,
    )
    assert assemble_spec(CODE, settings, options) == RunSpec(
        bundle_digest="ab" * 32,
        datasets={"train": 3},
        command=("bash", "-c", "exit 3"),
        environment={"A": "1", "B": "2"},
        cpu_millis=1,
        memory_bytes=5,
        grace_seconds=60,
        limit_seconds=1,
    )
