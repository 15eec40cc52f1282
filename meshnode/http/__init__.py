"""Smart HTTP, health and metrics."""
