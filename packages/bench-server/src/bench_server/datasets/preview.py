"""A look at samples of a version, read straight from the stored chunks, by ranges."""

from collections.abc import Iterable
from dataclasses import dataclass

from bench_data.chunk_ranges import ChunkRanges
from bench_data.errors import DataError
from bench_data.glimpse import Glimpse

from bench_server.datasets.models import Version
from bench_server.datasets.samples import located
from bench_server.datasets.services import HOSTILE
from bench_server.errors import Refused

SAMPLES = 24
"""What a preview shows."""

FILES = 4
"""Of a sample that a preview shows."""

IMAGE_BYTES = 32 << 20
"""A larger file is not shown as an image: it is sent from memory."""

SIGNATURE_BYTES = 16
"""What is looked at to tell an image."""


@dataclass(frozen=True)
class PreviewFile:
    """A file of a sample.

    Args:
        place: Which one of the sample's.
        name: Its base name.
        size_bytes: Its size.
        is_image: Whether it is an image that browsers show.
    """

    place: int
    name: str
    size_bytes: int
    is_image: bool


@dataclass(frozen=True)
class PreviewSample:
    """A sample.

    Args:
        number: Of the sample in the version.
        label: As far as it can be looked at.
        files: The first of its files.
        more_files: How many others it has.
    """

    number: int
    label: Glimpse
    files: list[PreviewFile]
    more_files: int


@dataclass(frozen=True)
class Image:
    """An image of a sample.

    Args:
        content: Its bytes.
        content_type: What they are.
    """

    content: bytes
    content_type: str


def preview(version: Version) -> list[PreviewSample]:
    """The first samples of a version.

    Raises:
        Refused: CHUNK_INVALID: they cannot be read.
    """
    return samples_at(version, range(min(SAMPLES, version.sample_count)))


def samples_at(version: Version, numbers: Iterable[int]) -> list[PreviewSample]:
    """Samples by their numbers.

    Raises:
        Refused: CHUNK_INVALID: they cannot be read.
    """
    try:
        return [_sample(*found) for found in located(version, numbers)]
    except (DataError, *HOSTILE) as error:
        raise _damaged(error) from None


def image_of(version: Version, sample: int, place: int) -> Image:
    """An image among the first files of a sample.

    Raises:
        Refused: BLOB_NOT_FOUND: there is no such file, or it is no image; CHUNK_INVALID.
    """
    if sample >= version.sample_count:
        raise Refused("BLOB_NOT_FOUND", "there is no such sample")
    try:
        [(_, chunk, row)] = located(version, [sample])
        numbers = chunk.file_numbers(row) if chunk.files else range(0)
        if place >= min(len(numbers), FILES):
            raise Refused("BLOB_NOT_FOUND", "there is no such file among the first of the sample")
        kind = _image_type(chunk, numbers[place])
        if kind is None:
            raise Refused("BLOB_NOT_FOUND", "the file is no image that can be shown")
        return Image(b"".join(chunk.file_pieces(numbers[place])), kind)
    except (DataError, *HOSTILE) as error:
        raise _damaged(error) from None


def _sample(number: int, chunk: ChunkRanges, row: int) -> PreviewSample:
    numbers = chunk.file_numbers(row) if chunk.files else range(0)
    files = [_file(chunk, number, place) for place, number in enumerate(numbers[:FILES])]
    return PreviewSample(number, chunk.label(row), files, len(numbers) - len(files))


def _file(chunk: ChunkRanges, number: int, place: int) -> PreviewFile:
    name = chunk.member_name(number).partition("/")[2]
    size = chunk.file_member(number)[1]
    return PreviewFile(place, name, size, _image_type(chunk, number) is not None)


def _image_type(chunk: ChunkRanges, number: int) -> str | None:
    size = chunk.file_member(number)[1]
    return image_type(chunk.file_beginning(number, SIGNATURE_BYTES)) if size <= IMAGE_BYTES else None


def image_type(beginning: bytes) -> str | None:
    """The content type of an image by its first bytes; None for what is no raster image that browsers show.

    What a file calls itself does not count, and SVG is none: it can hold scripts.
    """
    if beginning.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if beginning.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if beginning.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if beginning.startswith(b"RIFF") and beginning[8:12] == b"WEBP":
        return "image/webp"
    if beginning.startswith(b"BM") and beginning[6:10] == bytes(4):
        return "image/bmp"
    return None


def _damaged(error: Exception) -> Refused:
    what = error.message if isinstance(error, DataError) else type(error).__name__
    return Refused("CHUNK_INVALID", what, hint="`bench-server check --digests` says what is damaged.")
