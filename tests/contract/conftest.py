"""Fixtures of the suites that several implementations of one port share."""

from __future__ import annotations

from tests.contract.replica_fixtures import disk, git_disk, source

__all__ = ["disk", "git_disk", "source"]
