"""Implementations of the Catalog port: sqlite, etcd, memory."""
