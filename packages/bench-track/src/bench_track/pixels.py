"""Image files from what people have: arrays, tensors, PIL's images, figures, files."""

import io
import sys
from pathlib import Path
from typing import Any

from bench_track.errors import ValueLogError
from bench_track.png import encode_png

SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF8": "gif",
}

HINT = "Give an array (H, W, 3) or a tensor (3, H, W) of uint8, or of floats from 0 to 1; or a PIL image."


def image_file(data: Any, layout: str | None) -> tuple[str, bytes]:
    """The format and the bytes of an image file.

    Args:
        data: What `bench_track.Image` takes.
        layout: "HWC", "CHW", or None.

    Raises:
        ValueLogError: It is no image.
    """
    if layout not in ("HWC", "CHW", None):
        raise ValueLogError(f"layout is {layout!r}, and must be 'HWC' or 'CHW'")
    if isinstance(data, str | Path):
        try:
            data = Path(data).read_bytes()
        except OSError as error:
            raise ValueLogError(f"{data} cannot be read: {error.strerror}") from None
    if isinstance(data, bytes | bytearray | memoryview):
        return _known_file(bytes(data)), bytes(data)
    if hasattr(data, "savefig"):
        file = io.BytesIO()
        data.savefig(file, format="png")
        return "png", file.getvalue()
    if hasattr(data, "getbands"):
        return "png", _of_pil(data)
    if hasattr(data, "shape"):
        return "png", _of_array(data, layout)
    raise ValueLogError(f"a {type(data).__name__} is no image", hint=HINT)


def _known_file(data: bytes) -> str:
    for signature, name in SIGNATURES.items():
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    raise ValueLogError("these bytes are no image file", hint="PNG, JPEG, GIF and WebP are known.")


def _of_pil(image: Any) -> bytes:
    has_alpha = "A" in image.getbands() or "transparency" in image.info
    mode = "RGBA" if has_alpha else "L" if image.mode in ("1", "L") else "RGB"
    converted = image if image.mode == mode else image.convert(mode)
    return encode_png(converted.tobytes(), converted.width, converted.height, len(mode))


def _of_array(data: Any, layout: str | None) -> bytes:
    is_tensor = hasattr(data, "detach")
    shape = tuple(int(size) for size in data.shape)
    channels_first = (layout or ("CHW" if is_tensor else "HWC")) == "CHW"
    if len(shape) == 2:
        shape, channels_first = (*shape, 1), False
    elif len(shape) == 3 and channels_first:
        shape = (*shape[1:], shape[0])
    height, width, channels = shape if len(shape) == 3 else (0, 0, 0)
    if not height or not width or not 1 <= channels <= 4:
        raise ValueLogError(f"an image cannot have the shape {tuple(data.shape)}", hint=HINT)
    flat = _tensor_bytes(data, channels_first) if is_tensor else _array_bytes(data, channels_first)
    return encode_png(flat, width, height, channels)


def _tensor_bytes(tensor: Any, channels_first: bool) -> bytes:
    torch: Any = sys.modules["torch"]
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        tensor = (tensor.float().nan_to_num(0).clamp(0, 1) * 255).round().to(torch.uint8)
    elif tensor.dtype == torch.bool:
        tensor = tensor.to(torch.uint8) * 255
    elif tensor.dtype != torch.uint8:
        raise _of_other(tensor)
    flat = (tensor.permute(1, 2, 0) if channels_first else tensor).reshape(-1)
    return bytes(flat.numpy() if "numpy" in sys.modules else flat.tolist())


def _array_bytes(array: Any, channels_first: bool) -> bytes:
    numpy: Any = sys.modules["numpy"]
    array = numpy.asarray(array)
    if array.dtype.kind == "f":
        array = (numpy.nan_to_num(array.astype(numpy.float32)).clip(0, 1) * 255).round().astype(numpy.uint8)
    elif array.dtype.kind == "b":
        array = array.astype(numpy.uint8) * 255
    elif array.dtype != numpy.uint8:
        raise _of_other(array)
    found: bytes = (array.transpose(1, 2, 0) if channels_first else array).tobytes()
    return found


def _of_other(data: Any) -> ValueLogError:
    return ValueLogError(f"an image cannot be of {data.dtype}", hint=HINT)
