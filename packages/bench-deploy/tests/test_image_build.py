import io
import json
import os
import tarfile
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from bench_core import ImageSettings
from bench_deploy.errors import ImageError
from bench_deploy.image import collect_images
from image_tools import ImageRig, index_with_password, make_wheel

pytestmark = pytest.mark.needs("dockerd")

PASSWORD = "correct horse/battery"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageRig]:
    made = ImageRig(tmp_path_factory.mktemp("images"))
    wheels = made.state / "wheels"
    make_wheel(wheels, "tiny-one", "1.0")
    make_wheel(wheels, "tiny-one", "1.1")
    make_wheel(wheels, "tiny-two", "2.0", requires=("tiny-one",))
    make_wheel(wheels, "tiny-three", "3.0")
    make_wheel(wheels, "torch", "9.9", requires=("tiny-one",), size=1000)
    make_wheel(wheels, "pins-old-numpy", "1.0", requires=("numpy<1.20",))
    made.environment["UV_FIND_LINKS"] = str(wheels)
    yield made
    made.close()


def test_a_build_is_found_again_and_has_what_was_asked_for(rig: ImageRig) -> None:
    image = rig.build("tiny-two")
    assert rig.steps() == [
        "system packages",
        "find versions",
        "find versions for the agent",
        "the agent's requirements",
        "other requirements",
        "Bench",
    ]
    assert "tiny-two==2.0" in image.lock.splitlines()
    assert "tiny-one==1.1" in image.lock.splitlines()
    again = rig.build("tiny-two")
    assert (again.image_id, again.lock, again.was_there) == (image.image_id, image.lock, True)
    assert rig.output == []
    seen = rig.run(
        image,
        "sh",
        "-c",
        "whoami; id -u; id -g; echo $HOME; command -v python; ls -A /tmp; command -v uv || echo no uv;"
        "python -c 'import tiny_two; print(tiny_two.VERSION)'",
    )
    expected = "bench\n4711\n4712\n/home/bench\n/opt/venv/bin/python\nno uv\n2.0"
    assert seen == expected
    config = rig.client.images.get(image.image_id).attrs["Config"]
    assert {name: config[name] for name in ("Cmd", "Entrypoint", "User", "Volumes", "WorkingDir")} == {
        "Cmd": ["python"],
        "Entrypoint": [],
        "User": "4711:4712",
        "Volumes": None,
        "WorkingDir": "/",
    }
    assert [text.partition("=")[0] for text in config["Env"]] == ["PATH", "VIRTUAL_ENV", "HOME"]
    assert rig.containers() == []


def test_the_users_environment_gains_no_grpc_and_the_agent_has_its_own(rig: ImageRig) -> None:
    image = rig.build("tiny-two", "protobuf==4.25.8")
    listed = (
        "import importlib.metadata as m; print(sorted(d.name for d in m.distributions() if "
        "d.name.startswith(('bench', 'grpc', 'proto'))))"
    )
    assert rig.run(image, "python", "-c", listed) == "['bench-core', 'bench-data', 'bench-track', 'protobuf']"
    assert rig.run(image, "python", "-c", "import google.protobuf as p; print(p.__version__)") == "4.25.8"
    assert rig.run(image, "python", "-c", "import bench_data; print('ok')") == "ok"
    there = json.loads(rig.run(image, "/opt/bench/bin/python", "-c", listed).replace("'", '"'))
    assert {"bench-agent", "bench-auth", "bench-protos", "grpcio", "protobuf"} <= set(there)
    assert rig.run(image, "/opt/bench/bin/python", "-c", "import bench_agent, grpc; print('ok')") == "ok"


def test_nothing_is_compiled_when_it_starts(rig: ImageRig) -> None:
    image = rig.build("tiny-two")
    look = "import numpy, bench_data; print(numpy.__cached__, bench_data.__cached__)"
    for path in rig.run(image, "python", "-c", look).split():
        assert rig.run(image, "ls", path) == path


def test_another_package_leaves_torch_where_it_is(rig: ImageRig) -> None:
    rig.build("torch")
    assert "torch" in rig.steps()
    image = rig.build("torch", "tiny-two")
    assert rig.steps() == ["find versions", "other requirements", "Bench"]
    assert not any("torch" in line for line in rig.output)
    look = "import torch, tiny_two; print(torch.VERSION, tiny_two.VERSION)"
    assert rig.run(image, "python", "-c", look) == "9.9 2.0"


def test_torch_runs_and_compiles(rig: ImageRig) -> None:
    # In the base image lies what this machine's pip found for torch: `.ci/base-image`.
    image = rig.build("torch==2.13.0", settings=ImageSettings(find_links=("/srv/wheels",)), project="real")
    script = (
        "import torch\n@torch.compile\ndef twice(x):\n    return x.sin() + x.sin()\n"
        "print(torch.__version__.partition('+')[0], twice(torch.zeros(2)).tolist())"
    )
    assert rig.run(image, "python", "-c", script) == "2.13.0 [0.0, 0.0]"


def test_the_versions_of_a_project_stay_until_they_must_change(rig: ImageRig) -> None:
    assert "tiny-one==1.0" in rig.build("tiny-one==1.0", project="steady").lock
    assert "tiny-one==1.0" in rig.build("tiny-two", project="steady").lock
    assert "tiny-one==1.1" in rig.build("tiny-two", project="another").lock


def test_a_lock_that_is_given_is_taken_as_it_is(rig: ImageRig) -> None:
    image = rig.build("tiny-two", lock="tiny-one==1.0\n")
    assert image.lock == "tiny-one==1.0\n"
    look = "import importlib.metadata as m; print(sorted(d.name for d in m.distributions()))"
    assert rig.run(image, "python", "-c", look) == "['bench-core', 'bench-data', 'bench-track', 'tiny-one']"


def test_a_uv_lock_is_taken(rig: ImageRig, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("not-looked-at\n")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "0"\nrequires-python = ">=3.10"\ndependencies = ["idna"]\n'
        '[dependency-groups]\ndev = ["pytest"]\n'
    )
    (tmp_path / "uv.lock").write_text(
        'version = 1\nrevision = 3\nrequires-python = ">=3.10"\n\n'
        '[[package]]\nname = "idna"\nversion = "3.7"\nsource = { registry = "https://pypi.org/simple" }\n'
        'sdist = { url = "https://example.org/idna-3.7.tar.gz", hash = "sha256:'
        + "0"
        * 64
        + '" }\n\n[[package]]\nname = "x"\nversion = "0"\nsource = { virtual = "." }\n'
        'dependencies = [{ name = "idna" }]\n'
    )
    image = rig.build_folder(tmp_path, project="locked")
    assert "idna==3.7" in image.lock.splitlines()
    assert rig.run(image, "python", "-c", "import idna; print(idna.__version__)") == "3.7"


def test_a_password_is_in_nothing_that_stays(rig: ImageRig, tmp_path: Path) -> None:
    make_wheel(tmp_path, "guarded", "3.0")
    subnet = rig.client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Subnet"]
    gateway = str(ip_network(subnet)[1])
    before = rig.environment
    with index_with_password(tmp_path, "me", PASSWORD, gateway) as (port, seen):
        quoted = PASSWORD.replace(" ", "%20").replace("/", "%2F")
        rig.environment = {
            **before,
            "UV_EXTRA_INDEX_URL": f"http://me:{quoted}@{gateway}:{port}/simple",
            "UV_INSECURE_HOST": gateway,
        }
        url = f"http://{gateway}:{port}/simple"
        try:
            image = rig.build("guarded", settings=ImageSettings(extra_index_urls=(url,)), project="guarded")
        finally:
            rig.environment = before
    assert any(path.endswith(".whl") for path in seen)
    assert rig.run(image, "python", "-c", "import guarded; print(guarded.VERSION)") == "3.0"
    made = rig.client.images.get(image.image_id)
    kept = [text.encode() for text in (*rig.output, image.lock, json.dumps([made.attrs, made.history()]))]
    kept += [path.read_bytes() for path in rig.state.rglob("*") if path.is_file()]
    for secret in (PASSWORD.encode(), quoted.encode()):
        assert not any(secret in data for data in kept)
    saved = b"".join(made.save())
    assert b"guarded" in saved
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        for member in archive:
            opened = archive.extractfile(member)
            data = b"" if opened is None else opened.read()
            assert PASSWORD.encode() not in data, member.name
            assert quoted.encode() not in data, member.name


@pytest.mark.parametrize(
    ("packages", "message", "hint"),
    [
        (
            ("no-such-package-of-bench-tests",),
            "the image cannot be built (find versions): there is no package no-such-package-of-bench-tests",
            "Mend its name in the requirements, or name the index that has it in [image] of bench.toml.",
        ),
        (
            ("tiny-one==7",),
            "the image cannot be built (find versions): there is no such version of tiny-one==7",
            "Ask for another version in the requirements, or another python in [image] of bench.toml.",
        ),
        (
            ("pins-old-numpy",),
            "the image cannot be built (find versions): the requirements contradict each other",
            "The last lines say which; loosen one. The README of bench-data lists what Bench itself needs.",
        ),
        (
            ("what is this",),
            "the image cannot be built (find versions): a line of the requirements is no requirement",
            "The last lines say which.",
        ),
    ],
)
def test_what_cannot_be_resolved(rig: ImageRig, packages: tuple[str, ...], message: str, hint: str) -> None:
    before = rig.layers()
    with pytest.raises(ImageError) as caught:
        rig.build(*packages)
    assert caught.value.message.splitlines()[0] == message
    assert len(caught.value.message.splitlines()) > 1
    assert caught.value.hint == hint
    assert rig.containers() == []
    assert rig.layers() == before


def test_no_such_debian_package(rig: ImageRig) -> None:
    before = rig.layers()
    with pytest.raises(ImageError, match="there is no Debian package no-such-thing") as caught:
        rig.build(settings=ImageSettings(apt=("no-such-thing",)))
    assert caught.value.hint == "Mend its name in [image] apt of bench.toml."
    assert rig.layers() == before
    assert rig.containers() == []


def test_another_python_than_the_base_has(rig: ImageRig) -> None:
    with pytest.raises(ImageError) as caught:
        rig.build(settings=ImageSettings(python="3.99"))
    assert caught.value.message == "the base image has python 3.11, and bench.toml wants 3.99"


def test_a_base_image_that_cannot_be_had(rig: ImageRig) -> None:
    before = rig.environment
    rig.environment = {**before, "BENCH_BASE_IMAGE": "localhost:1/no/such:image"}
    try:
        with pytest.raises(ImageError) as caught:
            rig.build("tiny-one")
    finally:
        rig.environment = before
    assert caught.value.message.startswith(
        "the base image localhost:1/no/such:image is not on this machine, and it cannot be pulled: "
    )
    assert caught.value.hint == "Set BENCH_BASE_IMAGE, or [image] base of bench.toml, to one that is here."


def test_a_build_ends_when_whoever_follows_it_wants_so(rig: ImageRig, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(line: str) -> None:
        if line.startswith("Resolved"):
            raise StopError

    before = rig.layers()
    (tmp_path / "requirements.txt").write_text("tiny-three\n")
    with pytest.raises(StopError):
        rig.build_folder(tmp_path, project="stopped", say=stop)
    assert rig.containers() == []
    assert rig.layers() == before


def test_what_was_not_used_for_long_is_removed_from_the_top(rig: ImageRig) -> None:
    old, young = rig.build("tiny-one==1.0", project="old"), rig.build("tiny-two", project="young")
    long_ago = time.time() - 40 * 86_400
    shared = {tag.partition(":")[2] for tag in rig.layers()} - {old.tag.partition(":")[2]}
    os.utime(rig.state / "used" / old.tag.partition(":")[2], (long_ago, long_ago))
    done = collect_images(rig.state, unused_days=30, client=rig.client)
    assert done.images == (old.tag,)
    assert done.freed_bytes > 0
    assert {tag.partition(":")[2] for tag in rig.layers()} == shared
    assert rig.build("tiny-two", project="young").image_id == young.image_id
    assert not rig.build("tiny-one==1.0", project="old").was_there
    done = collect_images(rig.state, unused_days=30, limit_bytes=0, client=rig.client)
    assert rig.layers() == []
    assert done.kept_bytes == 0
