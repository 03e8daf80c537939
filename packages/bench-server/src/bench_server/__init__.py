"""The backend of Bench. What is public is the `bench-server` command and the contracts of bench-protos."""

__all__: list[str] = []
