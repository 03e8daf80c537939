"""The environment variables of bench-auth."""

ENDPOINT_VARIABLE = "BENCH_ENDPOINT"
"""The server, before the one of the last login."""

TOKEN_VARIABLE = "BENCH_TOKEN"
"""The token, before the one in the credential file."""

CONFIG_VARIABLE = "BENCH_CONFIG_DIR"
"""The folder of the credential file."""

CA_FILE_VARIABLE = "BENCH_CA_FILE"
"""A PEM file: the authorities that may sign a server's certificate, instead of a pin or the system's."""

FINGERPRINT_VARIABLE = "BENCH_FINGERPRINT"
"""Of the server's certificate, before the pin in the credential file."""
