"""Choose the catalog that a URL names, and open it.

Rule: an implementation that is not used is not imported (the etcd client brings its generated messages along).
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from meshnode.base.errors import InvalidRequest
from meshnode.config import CatalogSettings
from meshnode.ports import Catalog

SQLITE = "sqlite://"
ETCD = "etcd://"


async def open_catalog(settings: CatalogSettings) -> Catalog:
    """Open the catalog of `settings.url`: `sqlite:///absolute/path` or `etcd://host:port,host:port`.

    Raises:
        InvalidRequest: another scheme, a relative path, an endpoint without port, or settings that do not fit.
        Corrupt: the sqlite file is damaged.
        CatalogUnavailable: the file cannot be opened. An etcd that does not answer yet is no error here.
        Unauthenticated: etcd refused the user or the password.
    """
    url = settings.url
    if url.startswith(SQLITE):
        path = unquote(url.removeprefix(SQLITE))
        if not path.startswith("/") or path.endswith("/"):
            raise InvalidRequest("a sqlite catalog is sqlite:///absolute/path/of/file", url=url)
        from meshnode.catalog.sqlite import SqliteCatalog  # noqa: PLC0415 - only where it is used

        return await SqliteCatalog.open(Path(path), deadline_ms=settings.deadline_ms)
    if url.startswith(ETCD):
        from meshnode.catalog.etcd import EtcdCatalog  # noqa: PLC0415 - only where it is used

        return await EtcdCatalog.open(settings)
    raise InvalidRequest("a catalog is sqlite:///absolute/path or etcd://host:port,host:port", url=url[:200])
