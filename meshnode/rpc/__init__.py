"""The gRPC server: one file per service, one pipeline for all of them."""
