"""The command line: imports runs, never the reverse; `zerosum --help` imports no torch."""
