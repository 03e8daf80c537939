"""The runner: takes queued attempts, and sees each to its end (docs/runs.md)."""
