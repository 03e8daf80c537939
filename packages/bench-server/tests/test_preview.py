"""A look into a version: what its page shows, and what its images are sent as."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_server.accounts.models import User
from bench_server.datasets.blobs import the_store
from bench_server.datasets.models import Version
from bench_server.datasets.preview import SAMPLES, image_type
from bench_server.datasets.store import LocalStore
from bench_server.projects.models import Project
from PIL import Image
from server_tools import new_project, new_user
from web_tools import Browser, make_version, text_of

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def picture(number: int, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(content, kind)
    return content.getvalue()


@pytest.fixture(scope="module")
def user(server_address: str) -> User:
    return new_user()


@pytest.fixture(scope="module")
def project(user: User) -> Project:
    return new_project(user)


@pytest.fixture(scope="module")
def browser(user: User) -> Browser:
    return Browser(user)


def address_of(version: Version, rest: str = "") -> str:
    dataset = version.dataset
    return f"/projects/{dataset.project_id}/datasets/{dataset.name}/{version.number}{rest}"


def test_the_page_shows_the_first_samples(
    project: Project, user: User, browser: Browser, tmp_path: Path
) -> None:
    def sample(number: int) -> tuple[Any, dict[str, bytes]]:
        label = {"class": f"cat {number}", "box": np.arange(4) + number}
        return label, {f"{number}.png": picture(number), "n.txt": b"x" * 1500}

    samples = [sample(number) for number in range(30)]
    version = make_version(project, user, tmp_path, samples, "many", chunk_bytes=8192)
    assert version.chunk_count > 3
    text = text_of(browser.get(address_of(version)))
    assert "First 24 of 30 samples" in text
    assert re.findall(r"<span>(cat \d+)</span>", text) == [f"cat {number}" for number in range(SAMPLES)]
    assert "3, 4, 5, 6" in text
    assert "int64 (4,)" in text
    assert "1.5 kB" in text
    assert "&#x27;class&#x27;: str" in text  # the schema
    sources = re.findall(r'<img src="(/projects[^"]+)"', text)
    assert len(sources) == SAMPLES
    for number, source in enumerate(sources):
        response = browser.get(source)
        assert (response["Content-Type"], response.content) == ("image/png", picture(number))
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Disposition"] == 'inline; filename="many-23-0.png"'
    kept: Any = browser.get(sources[0], headers={"If-None-Match": browser.get(sources[0])["ETag"]})
    assert (kept.status_code, kept.content) == (304, b"")
    assert browser.get(address_of(version, "/files/29/0")).content == picture(29)  # pages of batches show any
    for absent in ("/files/0/1", "/files/0/2", "/files/30/0", "/files/99/0", "/files/0/99999999999999999999"):
        assert browser.get(address_of(version, absent)).status_code == 404, absent


def test_what_is_no_raster_image_is_named_and_not_sent(
    project: Project, user: User, browser: Browser, tmp_path: Path
) -> None:
    files = {"a.png": SVG, "b.jpg": b"<html><script>alert(1)</script>", "c<b>.txt": b"BMW", "d.bin": b""}
    version = make_version(project, user, tmp_path, [("<script>label</script>", files)], "hostile")
    text = text_of(browser.get(address_of(version)))
    assert '<img src="/projects' not in text
    assert "c&lt;b&gt;.txt" in text
    assert "<script>label" not in text
    assert "&lt;script&gt;label" in text
    for place in range(4):
        response = browser.get(address_of(version, f"/files/0/{place}"))
        assert (response.status_code, response["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert b"alert" not in response.content


def test_labels_alone_and_many_files(project: Project, user: User, browser: Browser, tmp_path: Path) -> None:
    alone = make_version(project, user, tmp_path, [(1.5, {}), (2.5, {})], "alone")
    text = text_of(browser.get(address_of(alone)))
    assert "First 2 of 2 samples" in text
    assert "<span>2.5</span>" in text
    assert browser.get(address_of(alone, "/files/0/0")).status_code == 404
    many = make_version(project, user, tmp_path, [(1, {f"{n}.txt": b"" for n in range(9)})], "files")
    assert "and 5 more files" in text_of(browser.get(address_of(many)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_images_that_browsers_show(kind: str) -> None:
    assert image_type(picture(1, kind)[:16]) == f"image/{kind.lower()}"


def test_damage_is_said(project: Project, user: User, browser: Browser, tmp_path: Path) -> None:
    version = make_version(project, user, tmp_path, [(1, {"a.png": picture(77)})], "damaged")
    store = the_store()
    assert isinstance(store, LocalStore)
    paths = [store.path(digest) for digest in version.blobs.values_list("blob_id", flat=True)]
    [path] = [path for path in paths if picture(77) in path.read_bytes()]
    content = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(content.replace(picture(77), bytes(len(picture(77)))))
    assert browser.get(address_of(version, "/files/0/0")).status_code == 404  # no image by its first bytes
    damaged = content.replace(picture(77), picture(77)[:-1] + b"\0")
    path.write_bytes(damaged)
    assert browser.get(address_of(version, "/files/0/0")).status_code == 400
    path.write_bytes(content[:-9])
    answer = browser.get(address_of(version))
    assert answer.status_code == 200
    assert "The samples cannot be shown" in text_of(answer)
    path.unlink()
    assert "is missing" in text_of(browser.get(address_of(version)))
