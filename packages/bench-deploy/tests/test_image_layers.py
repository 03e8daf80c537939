import subprocess
import sys
import venv
from importlib.metadata import distributions
from pathlib import Path

from bench_core import ImageSettings
from bench_deploy.image.bench_packages import OF_AGENT, OF_TRAINING, bench_wheel, requirements_of_others
from bench_deploy.image.layers import bench_layer, python_layers, system_layer

LOCK = (
    "--extra-index-url https://example.org\nidna==3.7\nnvidia-cublas-cu12==12.8\ntorch==2.13.0\ntriton==3.4\n"
)


def test_torch_and_what_it_pins_are_a_layer_that_other_packages_leave_alone() -> None:
    torch, others = python_layers("below", LOCK)
    assert torch.files["requirements.txt"] == (
        b"--extra-index-url https://example.org\nnvidia-cublas-cu12==12.8\ntorch==2.13.0\ntriton==3.4\n"
    )
    assert others.files["requirements.txt"] == b"--extra-index-url https://example.org\nidna==3.7\n"
    more, more_others = python_layers("below", LOCK + "torchmetrics==1.0\n")
    assert more.key == torch.key
    assert more_others.key != others.key
    other_torch, _ = python_layers("below", LOCK.replace("2.13.0", "2.13.1"))
    assert other_torch.key != torch.key


def test_without_torch_there_is_no_layer_of_it() -> None:
    assert [layer.name for layer in python_layers("below", "idna==3.7\n")] == ["other requirements"]
    assert python_layers("below", "") == []


def test_a_key_follows_from_all_that_a_layer_is_made_of() -> None:
    user = (4711, 4712)
    keys = {
        system_layer("base", ImageSettings(), user).key,
        system_layer("other base", ImageSettings(), user).key,
        system_layer("base", ImageSettings(apt=("git",)), user).key,
        system_layer("base", ImageSettings(python="3.11"), user).key,
        system_layer("base", ImageSettings(), (4711, 1)).key,
    }
    assert len(keys) == 5
    assert system_layer("base", ImageSettings(apt=("a1", "b1")), user) == system_layer(
        "base", ImageSettings(apt=("b1", "a1")), user
    )


def test_wheels_are_made_of_what_is_installed_and_are_the_same_bytes(tmp_path: Path) -> None:
    wheels = [bench_wheel(name) for name in OF_AGENT]
    bench_wheel.cache_clear()
    assert [bench_wheel(name) for name in OF_AGENT] == wheels
    assert bench_layer("below", wheels).files == {wheel.name: wheel.data for wheel in wheels}
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False)
    for wheel in wheels:
        (tmp_path / wheel.name).write_bytes(wheel.data)
    paths = [str(tmp_path / wheel.name) for wheel in wheels]
    python = environment / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index"]
    subprocess.run([*install, "--quiet", *paths], check=True)
    folder = next((environment / "lib").glob("python*/site-packages"))
    assert sorted(found.name for found in distributions(path=[str(folder)])) == sorted(OF_AGENT)
    import bench_agent

    assert (folder / "bench_agent" / "__init__.py").read_bytes() == Path(bench_agent.__file__).read_bytes()
    assert (folder / "bench_protos" / "data" / "v1" / "datasets_pb2.py").exists()


def test_the_users_environment_gains_no_network() -> None:
    names = {text.split(">")[0].split(";")[0] for text in requirements_of_others(OF_TRAINING)}
    assert not names & {"grpcio", "protobuf", "grpcio-status", "googleapis-common-protos"}
