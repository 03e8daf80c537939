"""The environment variables of bench-cli; those of the packages below are theirs."""

DEBUG_VARIABLE = "BENCH_DEBUG"
"""`1`: an error shows its traceback."""
