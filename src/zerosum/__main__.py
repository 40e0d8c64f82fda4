"""The command `zerosum`, and `python -m zerosum`: a Ctrl-C ends it in a sentence, also while it still loads."""

import os
import signal


def leave(number: int, _frame: object) -> None:
    """End here and now: nothing has begun."""
    try:
        os.write(2, b"stopped at once; nothing more was saved\n")
    finally:  # also without a console
        os._exit(128 + number)


def main() -> None:
    """Load the command line, which handles signals in its own way, and run it."""
    signal.signal(signal.SIGINT, leave)
    from zerosum.cli import main as command_line

    command_line.main()


if __name__ == "__main__":
    main()
