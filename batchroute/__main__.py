"""`python -m batchroute` is the command."""

from batchroute.cli.main import main

if __name__ == "__main__":
    main()
