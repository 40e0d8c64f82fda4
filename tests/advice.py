"""Does a message advise only what is there? An option must be one of the command that prints it, or that it names."""

import re

import typer

from zerosum.cli.main import app

OPTIONS = {
    name: {word for option in command.params for word in option.opts}
    for name, command in typer.main.get_command(app).commands.items()
}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
NAMED = re.compile(rf"(?:zerosum|of) ({'|'.join(OPTIONS)})\b[^`;\n]*$")  # before an option, in the same command


def foreign(command, text):
    """Options that a text of a command advises, and that neither it nor the command named before them has."""
    lacking = set()
    for option in OPTION.finditer(text):
        named = NAMED.search(text[: option.start()])
        if option[0] not in OPTIONS.get(named[1] if named else command, ()):
            lacking.add(option[0])
    return lacking
