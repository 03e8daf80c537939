"""What every Bench package shares. Nothing beyond the standard library, but tomli before Python 3.11."""

from bench_core.errors import BenchError, ProjectFileError
from bench_core.files import atomic_write, start_writeback, sync_file, sync_folder
from bench_core.image_settings import ImageSettings
from bench_core.memory import keep_freed_memory
from bench_core.paths import PROJECT_FILE, data_root, find_project
from bench_core.project import ProjectSettings, find_project_settings, read_project
from bench_core.run_settings import RunSettings
from bench_core.settings import (
    BASE_IMAGE_VARIABLE,
    CACHE_BYTES_VARIABLE,
    CACHE_DIR_VARIABLE,
    DATA_ROOT_VARIABLE,
    DATASETS_VARIABLE,
    ENDPOINT_VARIABLE,
    FULL_TEST_VARIABLE,
    PROJECT_VARIABLE,
)

__all__ = [
    "BASE_IMAGE_VARIABLE",
    "CACHE_BYTES_VARIABLE",
    "CACHE_DIR_VARIABLE",
    "DATASETS_VARIABLE",
    "DATA_ROOT_VARIABLE",
    "ENDPOINT_VARIABLE",
    "FULL_TEST_VARIABLE",
    "PROJECT_FILE",
    "PROJECT_VARIABLE",
    "BenchError",
    "ImageSettings",
    "ProjectFileError",
    "ProjectSettings",
    "RunSettings",
    "atomic_write",
    "data_root",
    "find_project",
    "find_project_settings",
    "keep_freed_memory",
    "read_project",
    "start_writeback",
    "sync_file",
    "sync_folder",
]
