"""A reader made from FORMAT.md alone: nothing of bench_data is imported here, and nothing may be."""

import ast
import base64
import itertools
import json
import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from blake3 import blake3

Array = np.ndarray[Any, Any]
ONE_VALUE = {"bool": "|b1", "int": "<i8", "float": "<f8", "complex": "<c16"}
TORCH_IN_NUMPY = {"float32": "<f4", "int64": "<i8", "bfloat16": "<u2", "bool": "|b1"}


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class Zip:
    """The header and the columns of a chunk or segment file (section 2)."""

    def __init__(self, data: bytes, kind: str) -> None:
        self.data = data
        tail = data[-64:]
        assert tail[:4] == b"PK\5\6"
        word, version, *where = tail[22:].decode("ascii").split(" ")
        assert (word, version, [len(field) for field in where]) == ("bench", "1", [16, 8, 8])
        self.header_crc = int(where[2], 16)
        header = self.member(*(int(field, 16) for field in where))
        self.header = json.loads(header)
        assert canonical(self.header) == header
        assert (self.header["format"], self.header["version"]) == (kind, 1)
        self.columns = {name: self.array(self.member(*at)) for name, at in self.header["columns"].items()}

    def member(self, offset: int, length: int, crc: int) -> bytes:
        found = self.data[offset : offset + length]
        assert (len(found), zlib.crc32(found)) == (length, crc)
        return found

    def array(self, npy: bytes) -> Array:
        array, used = read_npy(npy)
        assert used == len(npy)
        return array


class Chunk(Zip):
    """One chunk (section 3). A tensor comes as ("tensor", its dtype, an array)."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, "bench-chunk")

    def label_digests(self) -> list[bytes]:
        key = blake3(canonical(sorted_tree(self.header["labels"]))).digest()
        count, tree = self.header["samples"], self.header["labels"]
        encodings = (Labels(self.columns, sample, count).encode(tree) for sample in range(count))
        return [blake3(encoding, key=key).digest(16) for encoding in encodings]

    def samples(self) -> list[tuple[Any, list[tuple[str, bytes]]]]:
        """Label and files, (name, bytes) each, of every sample."""
        files, starts = self.files(), self.starts()
        assert starts[-1] == len(files) == self.header["files"]
        count = self.header["samples"]
        labels = [Labels(self.columns, sample, count).tree(self.header["labels"]) for sample in range(count)]
        ranges = itertools.pairwise(starts)
        return [(label, files[a:b]) for label, (a, b) in zip(labels, ranges, strict=True)]

    def starts(self) -> list[int]:
        each = self.header["files_per_sample"]
        assert (each is None) == ("file_starts" in self.columns)
        if each is None:
            return [int(start) for start in self.columns["file_starts"]]
        return [each * sample for sample in range(self.header["samples"] + 1)]

    def files(self) -> list[tuple[str, bytes]]:
        index: Any = self.columns.get("index", [])
        found, end = [], 0
        starts = self.starts()
        for row, (offset, length, crc) in enumerate(index):
            content = self.member(int(offset), int(length), int(crc))
            assert self.data[end : end + 4] == b"PK\3\4"  # the local header
            (name_bytes,) = struct.unpack_from("<H", self.data, end + 26)
            name = self.data[end + 30 : end + 30 + name_bytes].decode()
            sample = max(s for s in range(len(starts) - 1) if starts[s] <= row)
            number = row - starts[sample]
            prefix, base = name.split("/")
            assert prefix == (f"{sample}.{number}" if number else f"{sample}")
            found.append((base, content))
            end = int(offset + length)
        return found


class Labels:
    """The label of one sample (section 4)."""

    def __init__(self, columns: dict[str, Array], sample: int, samples: int) -> None:
        self.columns, self.sample, self.samples, self.leaf = columns, sample, samples, -1

    def tree(self, tree: dict[str, Any]) -> Any:
        kind = tree["kind"]
        if kind in ("tuple", "list", "dict", "namedtuple"):
            items = [self.tree(item) for item in tree["items"]]
            if kind == "namedtuple":
                return (tree["type"], dict(zip(tree["fields"], items, strict=True)))
            if kind == "dict":
                return dict(zip(tree["keys"], items, strict=True))
            return tuple(items) if kind == "tuple" else items
        if kind == "none":
            return None
        self.leaf += 1
        value = self.value(tree)
        if kind in ("str", "bytes", "free"):
            data = value.tobytes()
            return free(data) if kind == "free" else data.decode() if kind == "str" else data
        if kind in ONE_VALUE:
            assert value.dtype.str == ONE_VALUE[kind]
            return value.item()
        if kind == "tensor":
            assert value.dtype.str == TORCH_IN_NUMPY[tree["dtype"]]
            return ("tensor", tree["dtype"], value)
        dtype = tree["dtype"]
        assert value.dtype == np.dtype([tuple(f) for f in dtype] if isinstance(dtype, list) else dtype)
        return value[()] if kind == "scalar" else value

    def encode(self, tree: dict[str, Any]) -> bytes:
        """What the label digest is made of (section 5)."""
        kind = tree["kind"]
        if kind == "none":
            return b""
        if "items" in tree:
            parts = [self.encode(item) for item in tree["items"]]
            return b"".join(parts[at] for at in digest_order(tree))
        self.leaf += 1
        value = self.value(tree)
        shape = value.shape if kind in ("str", "bytes", "free", "array", "tensor") else ()
        return struct.pack(f"<{len(shape)}Q", *shape) + value.tobytes()

    def value(self, tree: dict[str, Any]) -> Array:
        name = f"labels/{self.leaf}"
        values, starts = self.columns[name], self.columns.get(f"{name}.starts")
        if starts is None:
            assert len(values) == self.samples
            return np.asarray(values[self.sample])
        assert (values.ndim, starts.shape, starts.dtype.str) == (1, (self.samples + 1,), "<u8")
        part = values[int(starts[self.sample]) : int(starts[self.sample + 1])]
        shapes = self.columns.get(f"{name}.shapes")
        assert (shapes is None) == (tree.get("ndim", 1) == 1)
        return part if shapes is None else part.reshape(shapes[self.sample].tolist())


def digest_order(tree: dict[str, Any]) -> list[int]:
    """The order of a branch's items in digests."""
    order = list(range(len(tree["items"])))
    if tree["kind"] == "dict":
        kinds = [type(None), bool, int, str]
        order.sort(key=lambda at: (kinds.index(type(tree["keys"][at])), str(tree["keys"][at])))
    return order


def sorted_tree(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree that digests are made of."""
    if "items" not in tree:
        return tree
    order = digest_order(tree)
    found = {**tree, "items": [sorted_tree(tree["items"][at]) for at in order]}
    return {**found, "keys": [tree["keys"][at] for at in order]} if tree["kind"] == "dict" else found


def read_npy(data: bytes) -> tuple[Array, int]:
    """An array, and how many bytes it took."""
    assert data[:8] == b"\x93NUMPY\1\0"
    (length,) = struct.unpack_from("<H", data, 8)
    start = 10 + length
    fields = ast.literal_eval(data[10:start].decode("latin1"))
    assert (start % 64, fields["fortran_order"], data[start - 1 : start]) == (0, False, b"\n")
    array: Array = np.ndarray(fields["shape"], fields["descr"], data, start)
    return array, start + array.nbytes


def free(data: bytes) -> Any:
    """A value of free structure."""
    (length,) = struct.unpack_from("<L", data)
    arrays, at = [], 4 + length
    while at < len(data):
        array, used = read_npy(data[at:])
        arrays.append(array)
        at += used
    return free_value(json.loads(data[4 : 4 + length]), arrays)


def free_value(value: Any, arrays: list[Array]) -> Any:
    if isinstance(value, list):
        return [free_value(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    ((tag, inner),) = value.items()
    if tag == "d":
        return {free_value(key, arrays): free_value(item, arrays) for key, item in inner}
    if tag == "t":
        return tuple(free_value(item, arrays) for item in inner)
    if tag == "T":
        return ("tensor", inner[1], arrays[inner[0]])
    if tag == "b":
        return base64.b64decode(inner)
    if tag == "c":
        return complex(*inner)
    assert tag in ("a", "s")
    return arrays[inner] if tag == "a" else arrays[inner].reshape(())[()]


class Sample(NamedTuple):
    """A sample with its rows of the segment file (section 5)."""

    label: Any
    files: list[tuple[str, bytes]]
    label_digest: bytes
    source_key: bytes
    source_digest: bytes


def read_dataset(folder: Path) -> list[Sample]:
    """All samples of a dataset (sections 5 and 6)."""
    text = (folder / "dataset.json").read_bytes()
    manifest = json.loads(text)
    assert canonical(manifest) + b"\n" == text
    assert (manifest["format"], manifest["version"]) == ("bench-dataset", 1)
    samples: list[Sample] = []
    digests, counts, size = [], [], 0
    for segment in manifest["segments"]:
        data = (folder / f"segment-{segment['digest'][:32]}.npz").read_bytes()
        assert blake3(data).hexdigest() == segment["digest"]
        file = Zip(data, "bench-segment")
        count, chunks = file.header["samples"], file.header["chunks"]
        assert (count, chunks) == (segment["samples"], segment["chunks"])
        shapes = {name: (column.dtype.str, column.shape) for name, column in file.columns.items()}
        assert shapes == {
            **{"samples": ("<u4", (chunks,)), "files": ("<u8", (chunks,)), "sizes": ("<u8", (chunks,))},
            **{"digests": ("|u1", (chunks, 32)), "headers": ("<u4", (chunks,))},
            **{"keys": ("|u1", (count, 16)), "rows": ("|u1", (count, 16))},
        }
        per_sample, first = [file.columns["keys"], file.columns["rows"]], 0
        for number in range(chunks):
            digest = file.columns["digests"][number].tobytes().hex()
            data = (folder / "chunks" / f"{digest[:32]}.zip").read_bytes()
            chunk = Chunk(data)
            assert (blake3(data).hexdigest(), len(data)) == (digest, file.columns["sizes"][number])
            assert chunk.header_crc == file.columns["headers"][number]
            found = (chunk.header["samples"], chunk.header["files"])
            assert found == (file.columns["samples"][number], file.columns["files"][number])
            rows = zip(*(column[first:] for column in per_sample), strict=True)
            for sample, label_digest, row in zip(chunk.samples(), chunk.label_digests(), rows, strict=False):
                samples.append(Sample(*sample, label_digest, *(cell.tobytes() for cell in row)))
            first += found[0]
            digests.append(digest)
            counts.append(found[0])
            size += len(data)
    assert (manifest["samples"], manifest["bytes"]) == (len(samples), size)
    assert manifest["with_files"] == any(sample.files for sample in samples)
    written = {"chunks": digests, "format": "bench-dataset", "labels": sorted_tree(manifest["labels"])}
    fingerprint = blake3(canonical({**written, "samples": counts, "version": 1})).hexdigest()
    assert manifest["fingerprint"] == fingerprint
    others = {key: value for key, value in manifest.items() if key != "digest"}
    assert manifest["digest"] == blake3(canonical(others)).hexdigest()
    return samples
