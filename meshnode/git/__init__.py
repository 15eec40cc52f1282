"""Repositories on this node's disk: git processes, pygit2, files. The only folder that knows git's formats."""
