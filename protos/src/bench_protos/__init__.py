"""The gRPC contracts of Bench and their Python stubs, one package per contract and version."""
