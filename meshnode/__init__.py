"""meshnode: a replicated Git storage service.

`docs/ARCHITECTURE.md` is the map; every folder here is one floor of it.
"""

__version__ = "0.1.0"
