"""Scripts as people have them, trained on the real engine without an edit."""

import re
from collections.abc import Iterator
from contextlib import closing

import pytest
from agent_tools import write
from bench_data import push
from bench_protos.runs.v1 import runs_pb2 as pb
from run_scripts import ARGPARSE, COMPILED, DATASET, HYDRA, IDENTITY, LIGHTNING, RANKS, WORKERS
from run_tools import zipped
from runner_tools import Runs, running

pytestmark = pytest.mark.needs("dockerd")

SAMPLES = 1000
REQUIREMENTS = "torch==2.13.0\nhydra-core\nlightning\nnumpy\nprotobuf==4.25.*\n"
SETTINGS = (
    '[project]\nid = "0192f0c1-7a3b-7c55-9d2e-0f6b1c2d3e4f"\nname = "scripts"\n'
    '[image]\nfind_links = ["/srv/wheels"]\n'  # of the base image: torch for CPUs
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    with running(tmp_path_factory.mktemp("server"), "docker") as found:
        yield found


@pytest.fixture(scope="module")
def pins(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> list[pb.RunDataset]:
    """A dataset on the server; a run that is pinned to it."""
    root = tmp_path_factory.mktemp("datasets")
    write(root, "train", SAMPLES, chunk_bytes=1 << 18)
    pushed = push("train", project=runs.project_id, root=root)
    return [pb.RunDataset(dataset="train", version_number=pushed.version_number)]


def project(script: str, requirements: str = REQUIREMENTS, **files: str) -> bytes:
    """A bundle of a script with its requirements."""
    given = {"train.py": script, "requirements.txt": requirements, "bench.toml": SETTINGS}
    return zipped(given | {name.replace("__", "."): text for name, text in files.items()})


def succeeded(runs: Runs, run: str) -> str:
    """The log of a run that succeeded."""
    attempt = runs.wait(run)
    log = runs.log(run).decode()
    built = runs.log(run, pb.LOG_SOURCE_BUILD).decode()
    assert attempt.reason == "succeeded", f"{attempt.message}\n{log}\n{built}"
    return log


def test_an_argparse_script_in_a_folder_that_knows_nothing_of_bench(runs: Runs) -> None:
    data = zipped({"code/fit.py": ARGPARSE, "requirements.txt": "numpy\n"})
    run = runs.submit_bundle(data, command=["python", "code/fit.py", "--epochs", "3"])
    assert succeeded(runs, run) == "epoch 0 loss 4.0\nepoch 1 loss 1.0\nepoch 2 loss 0.25\n"
    assert runs.artifacts(run) == {"work/weights.txt": b"1.75"}


def test_what_hydra_writes_is_kept(runs: Runs) -> None:
    data = project(HYDRA, config__yaml="lr: 0.1\n")
    run = runs.submit_bundle(data, command=["python", "train.py", "lr=0.5"])
    assert succeeded(runs, run).endswith("lr is 0.5\n")
    kept = {re.sub(r"outputs/[^/]+/[^/]+/", "", path): data for path, data in runs.artifacts(run).items()}
    assert set(kept) == {f"work/.hydra/{name}.yaml" for name in ("config", "hydra", "overrides")} | {
        "work/train.log",
        "work/weights.txt",
    }
    assert kept["work/.hydra/config.yaml"] == b"lr: 0.5\n"
    assert b"lr is 0.5" in kept["work/train.log"]


def test_what_lightning_writes_is_kept(runs: Runs) -> None:
    run = runs.submit_bundle(project(LIGHTNING))
    assert succeeded(runs, run).endswith("steps 4\n")
    kept = runs.artifacts(run)
    folder = "work/lightning_logs/version_0"
    assert f"{folder}/metrics.csv" in kept
    assert len(kept[f"{folder}/checkpoints/epoch=0-step=4.ckpt"]) > 1000


def test_compiled_kernels_are_there_for_the_next_run(runs: Runs) -> None:
    first = succeeded(runs, runs.submit_bundle(project(COMPILED)))
    assert first.endswith("right True, found again False\n")
    cache = runs.server.data / "caches" / runs.project_id / "inductor"
    kernels = {path for path in cache.rglob("*") if path.suffix == ".so"}
    assert kernels
    second = succeeded(runs, runs.submit_bundle(project(COMPILED)))
    assert second.endswith("right True, found again True\n")
    assert {path for path in cache.rglob("*") if path.suffix == ".so"} == kernels


def test_the_user_has_a_name_and_a_home(runs: Runs) -> None:
    log = succeeded(runs, runs.submit_bundle(project(IDENTITY)))
    assert log == "bench bench /home/bench\nwritten\n"


def test_workers_share_large_tensors(runs: Runs) -> None:
    log = succeeded(runs, runs.submit_bundle(project(WORKERS)))
    assert log.endswith(f"{8 * (32 << 20)} bytes\n")


def test_pinned_datasets_are_read_beside_packages_that_bench_does_not_like(
    runs: Runs, pins: list[pb.RunDataset]
) -> None:
    log = succeeded(runs, runs.submit_bundle(project(DATASET), datasets=pins))
    protobuf, grpc, samples = log.splitlines()[-3:]
    assert protobuf.startswith("protobuf 4.25.")
    assert grpc == "no grpc"
    assert samples == f"{SAMPLES} samples, {SAMPLES} different"


def test_ranks_share_an_epoch(runs: Runs, pins: list[pb.RunDataset]) -> None:
    command = ["torchrun", "--standalone", "--nproc-per-node=2", "train.py"]
    log = succeeded(runs, runs.submit_bundle(project(RANKS), command=command, datasets=pins))
    assert log.endswith(f"2 ranks, {SAMPLES // 2} samples each, {SAMPLES} different\n")


def test_one_more_package_leaves_torch_where_it_is(runs: Runs) -> None:
    before, after = (
        runs.submit_bundle(project("import torch", requirements))
        for requirements in (REQUIREMENTS, f"{REQUIREMENTS}colorama\n")
    )
    succeeded(runs, before)
    succeeded(runs, after)
    assert b"== torch" not in runs.log(after, pb.LOG_SOURCE_BUILD)
    old, new = (_layers(runs.last(run).image_id) for run in (before, after))
    shared = sum(one == other for one, other in zip(old, new, strict=True))
    assert shared == len(old) - 2  # the other requirements, and Bench


def test_the_image_of_known_requirements_is_found_again(runs: Runs) -> None:
    first, second = (runs.submit_bundle(project(f"print({number})")) for number in range(2))
    assert [succeeded(runs, run) for run in (first, second)] == ["0\n", "1\n"]
    assert runs.last(first).image_id == runs.last(second).image_id
    assert runs.log(second, pb.LOG_SOURCE_BUILD) == b""


def _layers(image: str) -> list[str]:
    import docker

    with closing(docker.from_env()) as client:
        found: list[str] = client.images.get(image).attrs["RootFS"]["Layers"]
        return found
