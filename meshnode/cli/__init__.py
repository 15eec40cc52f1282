"""Commands: they talk to a node through the same gRPC API everyone uses."""

from meshnode.cli.root import cli


def main() -> None:
    """Run the `meshnode` command and end the process with its exit code."""
    cli(prog_name="meshnode")
