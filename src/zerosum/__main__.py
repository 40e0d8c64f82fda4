"""`python -m zerosum`: the same as `zerosum`, where that is not on the path."""

from zerosum.cli.main import main

main()
