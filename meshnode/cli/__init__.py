"""Commands: they talk to a node through the same gRPC API everyone uses."""


def main() -> None:
    """Run the `meshnode` command."""
    raise SystemExit("no commands yet")
