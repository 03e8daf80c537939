"""Every environment variable that Bench reads, by name."""

DATA_ROOT_VARIABLE = "BENCH_DATA_ROOT"
"""The folder that holds chunked datasets, one folder each."""

PROJECT_VARIABLE = "BENCH_PROJECT"
"""The id of the project that datasets belong to."""

ENDPOINT_VARIABLE = "BENCH_ENDPOINT"
"""The server's URL, before that of the project file and of the last login."""

FULL_TEST_VARIABLE = "BENCH_FULL_TEST"
"""`1` makes the loading test of `process_datasets` load every sample."""

DATASETS_VARIABLE = "BENCH_DATASETS"
"""JSON, such as `{"train": 3}`: which version of a dataset is streamed; the latest unless it says."""

CACHE_DIR_VARIABLE = "BENCH_CACHE_DIR"
"""The folder of streamed chunks, for one user on one machine."""

CACHE_BYTES_VARIABLE = "BENCH_CACHE_BYTES"
"""How many bytes of chunks that folder may hold."""

BASE_IMAGE_VARIABLE = "BENCH_BASE_IMAGE"
"""The image that those of runs are put on, before that of the project file."""
