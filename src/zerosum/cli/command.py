"""What every command is made of: the app, options that several share, what is said, and how errors are shown.

Answers go to stdout, people's text to stderr. Exit status: 0 done, 1 failed at run time, 2 wrong usage, 130 or 143
stopped at once by Ctrl-C or SIGTERM. A user's mistake never prints a traceback.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from zerosum.core.console import Lasting, silence, visible
from zerosum.core.errors import ZerosumError, ZerosumWarning, is_out_of_memory
from zerosum.core.interrupt import AT_ONCE, Watch

if TYPE_CHECKING:
    import torch
    from rich.console import Console

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help takes half the time
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Options that several commands share: one definition each, so that a word means one thing everywhere.
Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable object on stdout.")]
Use = Annotated[
    list[str] | None, typer.Option("--use", metavar="FILE", help="A Python file with your own parts; may be repeated.")
]
Trust = Annotated[
    bool,
    typer.Option("--trust", help="Run the Python files in the run's code/, whoever wrote them; read them first."),
]
Root = Annotated[
    str | None,
    typer.Option("--data-root", metavar="DIR", help="Where to look for named sets; default $ZEROSUM_DATA."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace existing files, even if zerosum did not write them.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out all images that cannot be read, not just a few (up to 1 in 20).")
]
Label = Annotated[
    str | None, typer.Option("--label", help="One class only, by name or number; attributes as hat,young=0.")
]
Task = Annotated[
    str | None,
    typer.Option("--task", metavar="NAME", help="Which task of the model; default: the first or only one."),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="Equal seeds give equal results; default 0."),
]
Device = Annotated[
    str | None, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps; default auto.")
]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads; default: all cores.")]
Deterministic = Annotated[
    bool,
    typer.Option("--deterministic", help="Repeatable bit for bit on a GPU too, by slower kernels; a run remembers it."),
]


def _print_version(requested: bool) -> None:
    if requested:
        print(f"zerosum {importlib.metadata.version('zerosum')}")  # noqa: T201
        raise typer.Exit


def say(text: str) -> None:
    """Print a line for people, where there is a console."""
    print(visible(text), file=Lasting(sys.stderr))


def tell(text: str) -> None:
    """Print a line of an answer that is read by people."""
    print(visible(text))  # noqa: T201


def ready(use: list[str] | None, threads: int | None, device: str | None) -> torch.device:
    """Run the user's files, set the threads, and give the device to work on."""
    from zerosum.core import usercode
    from zerosum.runs.storage.environment import choose_device, use_threads

    usercode.use(*use or ())
    use_threads(threads, say)
    return choose_device("auto" if device is None else device)


def sheet(width: int | None = None) -> Console:
    """Stdout for tables, whose cells are printed as they are: brackets are not markup, `:cat:` is not an emoji."""
    from rich.console import Console

    return Console(width=width, highlight=False, markup=False, emoji=False)


def answer(value: dict[str, Any]) -> None:
    """Print one JSON object; a number that is not finite becomes null, as JSON has no word for it."""
    print(json.dumps(finite(value)))  # noqa: T201


def finite(value: Any) -> Any:
    """The same value with None for every number in it that is not finite."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Train, sample and compare adversarial games."""


@contextmanager
def _spoken_warnings() -> Iterator[None]:
    """Print our own warnings as lines, each once; others as Python does."""
    printed: set[str] = set()
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if not issubclass(category, ZerosumWarning):
            usual(message, category, *place)
        elif str(message) not in printed:
            printed.add(str(message))
            say(f"careful: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", ZerosumWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield


class Strict(TyperCommand):
    """A command that does not take the next option for the value of one that lacks it, nor the last of two values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse words, after a look for options whose value is missing, or that are given twice."""
        options = [one for one in self.get_params(ctx) if one.param_type_name == "option"]
        names = {name for one in options for name in one.opts}
        valued = {name for one in options for name in one.opts if not getattr(one, "is_flag", False)}
        single = {name: one.opts for one in options if not one.multiple for name in one.opts if name in valued}
        given: list[str] = []
        words = iter(args[: args.index("--")] if "--" in args else args)
        for word in words:
            value = next(words, None) if word in valued else None
            name = word.partition("=")[0] if word.startswith("--") else word
            if name in given:
                raise typer.BadParameter(f"{name} is given twice; give it once")
            given += single.get(name, [])
            if value in names:
                raise typer.BadParameter(f"{word} lacks its value: {value!r} follows; {word}={value} would take it")
        return super().parse_args(ctx, args)


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Make a function a command whose expected errors are one message and an exit status."""

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> None:
        with Watch() as watch, _spoken_warnings():
            try:
                function(*args, **kwargs)
                sys.stdout.flush()
            except ZerosumError as error:
                if not error.told:
                    say("\n".join([f"error: {error}", *getattr(error, "__notes__", ())]))
                raise typer.Exit(error.exit_status) from None
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                say("error: out of memory; ask for fewer or smaller samples at once, or end what else uses it")
                raise typer.Exit(1) from None
            except KeyboardInterrupt:
                say(AT_ONCE)
                exec("")  # noqa: S102 - or Python ends by the signal where that came within an exec of a library
                raise typer.Exit(watch.status) from None
            except BrokenPipeError:  # `zerosum ls | head`
                silence(sys.stdout)

    app.command(name=function.__name__, cls=Strict)(guarded)
    return guarded
