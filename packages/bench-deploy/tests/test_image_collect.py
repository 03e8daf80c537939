"""What is removed of images, and what is spared, on a real Docker daemon."""

import os
import time
from collections.abc import Iterator

import pytest
from bench_deploy.image import Collected, collect_images, downloads_size, images_size, remove_downloads
from bench_deploy.image.under_way import building
from image_tools import ImageRig, make_wheel

pytestmark = pytest.mark.needs("dockerd")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageRig]:
    made = ImageRig(tmp_path_factory.mktemp("images"))
    wheels = made.state / "wheels"
    for name in ("tiny-one", "tiny-two"):
        make_wheel(wheels, name, "1.0", size=2_000_000)
    made.environment["UV_FIND_LINKS"] = str(wheels)
    yield made
    made.close()


def make_old(rig: ImageRig) -> None:
    long_ago = time.time() - 40 * 86_400
    for note in (rig.state / "used").iterdir():
        os.utime(note, (long_ago, long_ago))


def test_images_that_are_used_stay_with_all_below_them(rig: ImageRig) -> None:
    used, unused = rig.build("tiny-one"), rig.build("tiny-two")
    make_old(rig)
    before = rig.layers()
    size = images_size(rig.state, client=rig.client)

    def used_ids() -> list[str]:
        return [used.image_id]

    counted = collect_images(
        rig.state, unused_days=30, limit_bytes=0, in_use=used_ids, remove=False, client=rig.client
    )
    assert rig.layers() == before
    removed = collect_images(rig.state, unused_days=30, limit_bytes=0, in_use=used_ids, client=rig.client)
    assert removed == counted
    assert len(removed.images) == 2  # "Bench", and "other requirements" below it
    assert removed.images[0] == unused.tag
    assert removed.freed_bytes >= 2_000_000
    assert removed.kept_bytes == size - removed.freed_bytes == images_size(rig.state, client=rig.client)
    assert rig.run(used, "python", "-c", "import tiny_one; print(tiny_one.VERSION)") == "1.0"
    assert rig.build("tiny-one").was_there


def test_an_image_of_a_container_stays(rig: ImageRig) -> None:
    image = rig.build("tiny-one")
    make_old(rig)
    before = rig.layers()
    container = rig.client.containers.create(image.image_id, ["true"])
    try:
        assert collect_images(rig.state, unused_days=30, client=rig.client).images == ()
    finally:
        container.remove()
    assert rig.layers() == before


def test_nothing_is_removed_while_an_image_is_made(rig: ImageRig) -> None:
    rig.build("tiny-one")
    make_old(rig)
    before = rig.layers()
    with building(rig.state), building(rig.state):
        assert collect_images(rig.state, unused_days=0, client=rig.client) == Collected(is_busy=True)
    done = collect_images(rig.state, unused_days=0, in_use=lambda: None, client=rig.client)
    assert done == Collected(is_busy=True)
    assert rig.layers() == before


def test_downloads_are_removed_unless_a_build_has_them(rig: ImageRig) -> None:
    assert downloads_size(client=rig.client, cache="no-such-volume") == 0
    image = rig.build("tiny-one")
    assert downloads_size(client=rig.client, cache=rig.cache) > 1_000_000  # the agent's requirements
    volumes = {rig.cache: {"bind": "/cache", "mode": "rw"}}
    container = rig.client.containers.create(image.image_id, ["true"], volumes=volumes)
    try:
        assert not remove_downloads(client=rig.client, cache=rig.cache)
    finally:
        container.remove()
    assert remove_downloads(client=rig.client, cache=rig.cache)
    assert remove_downloads(client=rig.client, cache=rig.cache)
    assert downloads_size(client=rig.client, cache=rig.cache) == 0
