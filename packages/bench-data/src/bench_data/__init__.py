"""Write, read and verify chunked datasets for PyTorch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench_data.batch_order import batch_samples
    from bench_data.chunk_file import ChunkFile
    from bench_data.cloud import CloudVersion, pull, push
    from bench_data.data_loader import ChunkLoader, loader
    from bench_data.dataset import ChunkDataset, ChunkSubset
    from bench_data.errors import DataError
    from bench_data.info import DatasetInfo, WriteInfo, dataset_info
    from bench_data.label_tree import FreeForm
    from bench_data.options import WriteOptions
    from bench_data.process import process_datasets
    from bench_data.processor import FileContent, ProcessorDataset
    from bench_data.sampler import ChunkSampler
    from bench_data.verification import Problem, Report, verify
    from bench_data.writer import write_chunks

__all__ = [
    "ChunkDataset",
    "ChunkFile",
    "ChunkLoader",
    "ChunkSampler",
    "ChunkSubset",
    "CloudVersion",
    "DataError",
    "DatasetInfo",
    "FileContent",
    "FreeForm",
    "Problem",
    "ProcessorDataset",
    "Report",
    "WriteInfo",
    "WriteOptions",
    "batch_samples",
    "dataset_info",
    "loader",
    "process_datasets",
    "pull",
    "push",
    "verify",
    "write_chunks",
]

_MODULES = {
    "ChunkDataset": "dataset",
    "ChunkFile": "chunk_file",
    "ChunkLoader": "data_loader",
    "ChunkSampler": "sampler",
    "ChunkSubset": "dataset",
    "CloudVersion": "cloud",
    "DataError": "errors",
    "DatasetInfo": "info",
    "FileContent": "processor",
    "FreeForm": "label_tree",
    "Problem": "verification",
    "ProcessorDataset": "processor",
    "Report": "verification",
    "WriteInfo": "info",
    "WriteOptions": "options",
    "batch_samples": "batch_order",
    "dataset_info": "info",
    "loader": "data_loader",
    "process_datasets": "process",
    "pull": "cloud",
    "push": "cloud",
    "verify": "verification",
    "write_chunks": "writer",
}
"""Where each public name lives. Imported on first use: only the loader and the sampler need torch."""


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
