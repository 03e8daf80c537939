"""ChunkFile: a file in a chunk that looks like a path, like bytes and like an open file."""

import copy
import gc
import hashlib
import io
import os
import pickle
import weakref
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from bench_data import ChunkDataset, ChunkFile, FileContent, WriteOptions, write_chunks
from bench_data.errors import CorruptChunkError
from data_samples import Computed
from PIL import Image
from torchvision.io import read_image

OPTIONS = WriteOptions(workers=1, order="source", durable=False)
LARGE = (17 << 20) + 5
"""More than `open` reads at once."""


def picture() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    return np.asarray(pixels)


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture()).save(file, "PNG")
    return file.getvalue()


def large() -> bytes:
    return hashlib.shake_256(b"large").digest(LARGE)


def stored(*files: FileContent) -> list[ChunkFile]:
    """The files of one sample, as read back."""
    write_chunks(Computed(1, lambda _: files), "x", "out", OPTIONS)
    found: list[ChunkFile] = ChunkDataset("x", "out")[0][1]
    return found


@pytest.fixture
def image() -> ChunkFile:
    (file,) = stored(FileContent("Bär 1.png", png()))
    return file


@pytest.mark.filterwarnings("ignore:The image decoding and encoding capabilities of TorchVision")
def test_pillow_opencv_and_torchvision_read_a_file_as_a_path(image: ChunkFile) -> None:
    with Image.open(image) as opened:
        assert (opened.format, opened.filename) == ("PNG", os.fspath(image))
        np.testing.assert_array_equal(np.asarray(opened), picture())
    read = cv2.imread(os.fspath(image), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(read, picture())
    tensor = read_image(os.fspath(image))
    assert torch.equal(tensor, torch.from_numpy(picture()).permute(2, 0, 1))


def test_pillow_reads_a_file_without_a_path(image: ChunkFile) -> None:
    for source in (image.open(), io.BytesIO(image.view())):
        with Image.open(source) as opened:
            np.testing.assert_array_equal(np.asarray(opened), picture())


def test_python_reads_a_file_as_a_path(image: ChunkFile) -> None:
    assert isinstance(image, os.PathLike)
    with open(image, "rb") as opened:
        assert opened.read() == png()
    assert Path(image).read_bytes() == png()
    assert os.path.getsize(image) == image.size == len(png())
    assert os.path.splitext(image) == (os.fspath(image)[:-4], ".png")


def test_a_file_says_its_name_and_size(image: ChunkFile) -> None:
    assert (image.name, image.size) == ("Bär 1.png", len(png()))
    assert repr(image) == f"ChunkFile('Bär 1.png', {len(png())} bytes)"
    assert not hasattr(image, "__dict__")


def test_every_way_to_read_gives_the_same_bytes(image: ChunkFile) -> None:
    opened = image.open()
    assert (image.read_bytes(), opened.read(), opened.read()) == (png(), png(), b"")
    view = image.view()
    assert (view.readonly, view.format, bytes(view)) == (True, "B", png())


def test_a_view_outlives_its_file_dataset_and_chunk() -> None:
    (file,) = stored(FileContent("x", b"content"))
    view = file.view()
    del file
    next(Path("out/x/chunks").iterdir()).unlink()
    gc.collect()
    assert bytes(view) == b"content"


def test_the_path_is_made_once_and_goes_with_the_object() -> None:
    (image,) = stored(FileContent("Bär 1.png", png()))
    path = Path(os.fspath(image))
    assert path.name == "Bär 1.png"
    assert os.fspath(image) == str(path)
    assert path.stat().st_mode & 0o777 == 0o600
    del image
    assert not path.exists()


def test_files_of_one_name_have_a_path_each() -> None:
    contents = [b"one", b"two", b""]
    files = stored(*(FileContent("same name", content) for content in contents))
    paths = [Path(os.fspath(file)) for file in files]
    assert [path.name for path in paths] == ["same name"] * 3
    assert [path.read_bytes() for path in paths] == contents
    del files[1]
    assert [path.exists() for path in paths] == [True, False, True]
    files.clear()
    assert not any(path.exists() for path in paths)


def test_a_path_that_its_user_removed_or_changed_does_not_change_the_file() -> None:
    (image,) = stored(FileContent("Bär 1.png", png()))
    Path(image).write_bytes(b"changed")
    assert image.read_bytes() == png()
    Path(image).unlink()
    assert image.read_bytes() == png()
    del image  # and nothing is said of the path that is gone


def test_a_pickled_file_is_a_reference_with_a_path_of_its_own(image: ChunkFile) -> None:
    os.fspath(image)
    text = pickle.dumps(image)
    assert png() not in text
    assert len(text) < 1000
    for again in (pickle.loads(text), copy.copy(image), copy.deepcopy(image)):
        assert type(again) is ChunkFile
        assert (again.name, again.read_bytes()) == (image.name, png())
        assert os.fspath(again) != os.fspath(image)
        assert Path(again).read_bytes() == png()


def test_files_are_compared_by_identity_and_can_be_held_weakly() -> None:
    (image,) = stored(FileContent("Bär 1.png", png()))
    again = copy.copy(image)
    assert image != again
    assert len({image, again, image}) == 2
    reference = weakref.ref(image)
    del image
    assert reference() is None


def test_a_large_file_is_read_as_a_stream() -> None:
    (file,) = stored(FileContent("large.bin", large()))
    opened = file.open()
    assert not isinstance(opened, io.BytesIO)
    assert (opened.readable(), opened.seekable(), opened.writable()) == (True, True, False)
    assert opened.read(3) == large()[:3]
    assert opened.seek(-5, io.SEEK_END) == LARGE - 5
    assert opened.read() == large()[-5:]
    assert opened.read(1) == b""
    assert opened.seek(1 << 20) == 1 << 20
    assert opened.seek(7, io.SEEK_CUR) == (1 << 20) + 7 == opened.tell()
    assert opened.read(9) == large()[(1 << 20) + 7 :][:9]
    assert opened.seek(10, io.SEEK_END) == LARGE + 10
    assert opened.read(1) == b""
    with pytest.raises(ValueError, match="negative seek"):
        opened.seek(-1)
    opened.seek(0)
    del file
    assert opened.read() == large()


def test_a_large_file_is_read_in_every_way() -> None:
    (file,) = stored(FileContent("large.bin", large()))
    assert file.read_bytes() == large()
    assert file.view() == large()
    assert Path(file).read_bytes() == large()


def test_a_large_file_that_is_damaged_is_refused_before_its_first_byte() -> None:
    (file,) = stored(FileContent("large.bin", large()))
    (path,) = Path("out/x/chunks").iterdir()
    with path.open("r+b") as chunk:
        chunk.seek(LARGE)  # in the last bytes of the file
        chunk.write(bytes([large()[LARGE - 40] ^ 0xFF]))
    message = rf"^{path.name}, 0/large\.bin at offset 41: the bytes are not those that were written"
    with pytest.raises(CorruptChunkError, match=message):
        file.open()
    with pytest.raises(CorruptChunkError, match=message):
        os.fspath(file)
    with pytest.raises(CorruptChunkError, match=message):
        file.view()


def test_a_damaged_name_is_an_error_and_not_another_name(image: ChunkFile) -> None:
    (path,) = Path("out/x/chunks").iterdir()
    with path.open("r+b") as chunk:
        chunk.write(b"PK\3\5")
    message = rf"^{path.name}, local header of file 0 at offset 0: the bytes are not those that were written"
    with pytest.raises(CorruptChunkError, match=message):
        image.name  # noqa: B018
    assert image.read_bytes() == png()


def test_a_path_that_could_not_be_written_leaves_no_file() -> None:
    (file,) = stored(FileContent("x", b"content"))
    (path,) = Path("out/x/chunks").iterdir()
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo("0/x").header_offset + 30 + len("0/x")
    with path.open("r+b") as chunk:
        chunk.seek(offset)
        chunk.write(b"C")
    kept = stored_elsewhere()
    folder = Path(os.fspath(kept)).parent
    before = sorted(folder.rglob("*"))
    with pytest.raises(CorruptChunkError, match=rf"^{path.name}, 0/x at offset {offset}: "):
        os.fspath(file)
    assert sorted(folder.rglob("*")) == before


def stored_elsewhere() -> ChunkFile:
    write_chunks(Computed(1, lambda _: [FileContent("y", b"y")]), "other", "out", OPTIONS)
    found: ChunkFile = ChunkDataset("other", "out")[0][1][0]
    return found
