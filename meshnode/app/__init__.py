"""Composition root: the only place that names an adapter.

    process.py     one node as a process            identity.py    who this node is
    parts.py       what it consists of              node.py        starts and stops it, in which order
    servicers.py   what it serves over gRPC         git_api.py     the part of that which reads and makes objects

Everything below knows ports; these modules are the ones that say what stands behind each.
"""

from meshnode.app.process import run_node

__all__ = ["run_node"]
