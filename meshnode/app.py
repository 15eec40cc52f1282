"""Composition root: the only place that names an adapter; start and stop order."""
