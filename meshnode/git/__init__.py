"""Repositories on this node's disk: git processes and files (docs/adr/0022). The only folder that knows git's formats."""
