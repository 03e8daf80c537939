"""What every Bench package shares. No dependencies."""

from bench_core.errors import BenchError
from bench_core.files import atomic_write, start_writeback, sync_file, sync_folder
from bench_core.paths import PROJECT_FILE, data_root, find_project
from bench_core.settings import DATA_ROOT_VARIABLE, FULL_TEST_VARIABLE, PROJECT_VARIABLE

__all__ = [
    "DATA_ROOT_VARIABLE",
    "FULL_TEST_VARIABLE",
    "PROJECT_FILE",
    "PROJECT_VARIABLE",
    "BenchError",
    "atomic_write",
    "data_root",
    "find_project",
    "start_writeback",
    "sync_file",
    "sync_folder",
]
