"""The command line: one file a command. Each parses, calls, shows and gives the exit code."""
