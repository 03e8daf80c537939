"""What `import bench_data` offers, and what it does not import."""

import bench_data
import pytest
from process_tools import run

LABEL_ONLY = """
import sys
import bench_data
assert "numpy" not in sys.modules
from bench_data import ChunkDataset, WriteOptions, dataset_info, verify, write_chunks
from data_samples import Labels

options = WriteOptions(order="source")
write_chunks(Labels([(n, "a") for n in range(10)]), "x", root=sys.argv[1], options=options)
assert verify(f"{sys.argv[1]}/x").ok
assert dataset_info(f"{sys.argv[1]}/x").samples == 10
ds = ChunkDataset("x", root=sys.argv[1])
assert ds[3] == (3, "a")
assert ds.stacked([3, 4])[0].tolist() == [3, 4]
assert len(ds.split(0.5)[0]) == 5
print(sorted(name for name in sys.modules if name.partition(".")[0] == "torch"))
"""


def test_all_is_sorted_and_complete() -> None:
    assert bench_data.__all__ == sorted(bench_data.__all__)
    assert set(bench_data.__all__) >= {
        *["ChunkDataset", "ChunkFile", "ChunkSampler", "ProcessorDataset", "WriteOptions"],
        *["dataset_info", "loader", "process_datasets", "verify", "write_chunks"],
    }


@pytest.mark.parametrize("name", bench_data.__all__)
def test_every_name_can_be_imported_and_is_documented(name: str) -> None:
    found = getattr(bench_data, name)
    assert found.__name__ == name
    assert found.__module__.startswith("bench_data.")
    assert found.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'bench_data' has no attribute 'write_chunk'$"):
        bench_data.write_chunk  # noqa: B018


def test_labels_are_written_and_read_without_torch() -> None:
    assert run(LABEL_ONLY, "out") == "[]\n"
