"""Runs and models as a notebook shows them: a small card of HTML that brings its own looks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from zerosum.runs.evaluation.verdict import is_number
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.record import DAMAGE
from zerosum.runs.view import pictures
from zerosum.runs.view.charts import value_of
from zerosum.runs.view.gallery import compact, shown
from zerosum.runs.view.media import medium_of
from zerosum.runs.view.page import picture, text
from zerosum.runs.view.report import STATES, lead
from zerosum.runs.view.run_content import read

if TYPE_CHECKING:
    from zerosum.runs.storage.trained import TrainedModel

METRICS = 6  # numbers of a run
WIDTH = 320  # of a picture, in pixels of the page
LOOK = "border:1px solid #8885;border-radius:10px;padding:12px 16px;max-width:720px;font-family:system-ui,sans-serif"


def run_card(run: RunDirectory) -> str:
    """A run: what was trained and how far, its last samples beside real ones, its last numbers."""
    content = read(run)
    _, word = STATES.get(content.state, ("", "state unknown"))
    seconds = f" in {content.seconds:,.0f} s" if content.seconds else ""
    faults = list(content.faults)
    files = {"real": run.real} if run.real.is_file() else {}
    files |= {f"{images:,} images": path for images, path in list(run.pictures().items())[-1:]}
    sheets = {caption: shown(path, faults) for caption, path in files.items()}
    last = {line["metric"]: line for line in content.evaluations}
    numbers = [
        f"{name} {value_of(line['value'])}" for name, line in list(last.items())[:METRICS] if is_number(line["value"])
    ]
    try:
        about = lead(content)
    except DAMAGE as error:
        about = f"environment.json is damaged ({error})"
    lines = [about, f"{word}, {content.images:,} images{seconds}", ", ".join(numbers), *faults[:3]]
    return _card(str(run.path), lines, [(caption, sheet) for caption, sheet in sheets.items() if sheet])


def model_card(trained: TrainedModel) -> str:
    """A model: what it makes, and samples of seed 0 where it draws any."""
    size, medium = trained.signal.shape, medium_of(trained.signal)
    kind = f"images of {size[2]} x {size[1]}" if len(size) == 3 else f"points of {size[0]} numbers"
    what = "classes" if trained.signals.get("label", trained.signal).classes else "attributes"
    classes = f" in {len(trained.classes):,} {what}" if trained.conditional else ""
    latents = "" if trained.latent is None else f"; latents of {trained.latent.size} numbers"
    line = f"{kind}{classes}, trained on {trained.images:,} images{latents}; it can {' and '.join(trained.verbs)}"
    sheets = []
    if trained.latent is not None:
        samples = trained.sample(medium.card, seed=0)
        sheets = [("seed 0", compact(pictures.encode(pictures.picture(samples, units=trained.units))))]
    return _card(f"Model of {trained.recipe.recipe}", [line], sheets)


def _card(title: str, lines: Iterable[str], sheets: Iterable[tuple[str, bytes]]) -> str:
    said = "".join(f'<div style="opacity:.8">{text(line)}</div>' for line in lines if line)
    shown = "".join(
        f'<figure style="margin:10px 12px 0 0;width:{WIDTH}px;max-width:100%">{picture(content, caption)}'
        f'<figcaption style="opacity:.7;font-size:.85em">{text(caption)}</figcaption></figure>'
        for caption, content in sheets
    )
    return f'<div style="{LOOK}"><b>{text(title)}</b>{said}<div style="display:flex;flex-wrap:wrap">{shown}</div></div>'
