"""Every environment variable that Bench reads, by name."""

DATA_ROOT_VARIABLE = "BENCH_DATA_ROOT"
"""The folder that holds chunked datasets, one folder each."""

PROJECT_VARIABLE = "BENCH_PROJECT"
"""The id of the project that datasets belong to."""

FULL_TEST_VARIABLE = "BENCH_FULL_TEST"
"""`1` makes the loading test of `process_datasets` load every sample."""
