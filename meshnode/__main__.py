"""`python -m meshnode` is the `meshnode` command."""

from meshnode.cli import main

if __name__ == "__main__":
    main()
