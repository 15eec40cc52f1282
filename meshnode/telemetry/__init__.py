"""Logs, metrics and the context they share."""
