"""The environment variables of bench-auth."""

ENDPOINT_VARIABLE = "BENCH_ENDPOINT"
"""The server, before the one of the last login."""

TOKEN_VARIABLE = "BENCH_TOKEN"
"""The token, before the one in the credential file."""

CONFIG_VARIABLE = "BENCH_CONFIG_DIR"
"""The folder of the credential file."""
