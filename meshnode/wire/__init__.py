"""Translation between core types and proto messages, errors and gRPC status."""
