"""Implementations of the Peers port: gRPC and memory."""
