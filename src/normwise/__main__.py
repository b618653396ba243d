"""`python -m normwise` is the `normwise` command."""

from normwise.cli import main

if __name__ == "__main__":
    main()
