"""Parsers of bytes that strangers send or disks damage: what must hold for every input, and inputs that are kept."""
