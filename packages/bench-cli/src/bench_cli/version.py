"""The release. Not asked of the installed distribution, which may be bench-kit (docs/decisions/0001)."""

VERSION = "0.1.0"
