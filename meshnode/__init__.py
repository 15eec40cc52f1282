"""meshnode: a replicated Git storage service.

`docs/ARCHITECTURE.md` is the map; every folder here is one floor of it.

gRPC's fork handlers are switched off before anything can import grpc: this program starts git by vfork and never
forks to run Python, and with them on, descriptors of a spawn beside RPC traffic were seen to be mixed up.
"""

import os

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

__version__ = "0.1.0"
