"""`zerosum ls` and `zerosum show`: what can be named."""

from __future__ import annotations

from typing import Annotated

import typer

from zerosum.cli.command import Json, Trust, Use, answer, command


@command
def ls(
    kind: Annotated[str | None, typer.Argument(help="recipe, data, objective, regularizer, network, ...")] = None,
    use: Use = None,
    as_json: Json = False,
) -> None:
    """List everything that can be named, by kind."""
    from zerosum.cli import listing

    rows = listing.listing(kind, use or [])
    if as_json:
        answer({name: dict(parts) for name, parts in rows.items()})
    else:
        listing.print_listing(rows)


@command
def show(
    name: Annotated[str, typer.Argument(help="A recipe, part or data set; a recipe.toml, or the run that has it.")],
    use: Use = None,
    trust: Trust = False,
) -> None:
    """Print a recipe or part. Every field has its value and its meaning."""
    from zerosum.cli import listing

    listing.print_description(name, use or [], trust=trust)
