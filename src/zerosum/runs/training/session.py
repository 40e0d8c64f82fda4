"""Begin and continue trainings: everything is checked before the run directory exists."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from zerosum.core import compatibility, settings, usercode
from zerosum.core.errors import RecipeError, RunError
from zerosum.core.interrupt import Interrupt
from zerosum.data import RULES, Dataset, kept, whole_place
from zerosum.recipes import Recipe, read_recipe
from zerosum.runs import health
from zerosum.runs.storage import code
from zerosum.runs.storage.directory import RunDirectory, free_name, refuse_existing
from zerosum.runs.storage.environment import be_deterministic, choose_device, describe, use_threads
from zerosum.runs.storage.place import resume_command
from zerosum.runs.storage.run import Run
from zerosum.runs.training import early, elsewhere, following, launching, plan, starting, stopping
from zerosum.runs.training.continuing import go_on
from zerosum.runs.training.decisions import decisions
from zerosum.runs.training.failures import clear_errors, reporting
from zerosum.runs.training.launching import Place
from zerosum.runs.training.opening import absolute, open_new, origin_of, reopen
from zerosum.runs.training.progress import Display
from zerosum.runs.training.readiness import prove
from zerosum.runs.training.rehearsal import Measured
from zerosum.runs.training.training import Training
from zerosum.runs.view.media import many


def train(
    data: Any = ...,
    recipe: str | Recipe | None = None,
    settings: Sequence[str] = (),
    *,
    images: str | int | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    start_from: str | Path | None = None,
    use: Sequence[str | Path] = (),
    trust: bool = False,
    data_root: str | Path | None = None,
    skip_bad: bool = False,
    device: str = "auto",
    threads: int | None = None,
    ranks: int | None = None,
    deterministic: bool = False,
    quiet: bool = False,
) -> Run:
    """Train a recipe on data, into a new run directory.

    Args:
        data: a named set, folder, archive, array file, table or `hf:` set; where it is left out, "digits", or with
            `start_from` that run's data. Also an array or tensor [N, C, H, W], [N, H, W, C] or [N, D], a list of PIL
            images, either of them with labels (numbers or names) as a pair, a torch Dataset, or pairs of images as a
            dictionary of `input` and `target`: a copy is kept in the cache, where `resume` and the rest find it.
        recipe: a recipe's name, or a `Recipe`; "dcgan" by default.
        settings: `field=value` words, for example `["objective=hinge", "discriminator.lr=1e-4"]`.
        images: how long, in place of the recipe's length: `"200k"`, `"10epochs"`, `"5min"` or a number of images.
        out: the run directory; `runs/DATA-RECIPE` by default.
        seed: in place of the recipe's.
        start_from: a run, or a model file, whose weights the training starts with: all players' of a run's newest
            checkpoint, those that a file holds. Weights that fit by name and shape are taken, the others are named;
            optimizers, averages' ages and the clock begin anew. Its recipe and data are the defaults then.
        use: files that register further parts.
        trust: run the Python files of the run that `start_from` names, whoever wrote them.
        data_root: where named sets are looked for; `$ZEROSUM_DATA` by default.
        skip_bad: leave out all images that cannot be read, also where they are more than 1 in 20; each is named.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        threads: CPU threads; all cores by default. Equal results need equal threads, so a run remembers them.
        ranks: processes that train together, each on its part of every batch; this one starts the others. On CUDA each
            has a device of its own, and on a CPU they divide the threads, or have `threads` each. Where torchrun has
            started all of them, it decides, and they call this alike.
        deterministic: equal bits also on a GPU, by kernels that may be slower; for the whole process.
        quiet: print nothing.

    Raises:
        ZerosumError: of the kind that fits; nothing is written unless the training could begin.
    """
    where = launching.place(ranks)
    if where.rank:
        return following.follow(where)
    display = Display(quiet)
    usercode.use(*use)
    if trust and start_from is None:
        raise RunError("--trust (trust=True) allows the Python files of the run that --from names; there is no --from")
    data = data if data is ... else kept(data)
    start = None if start_from is None else starting.find_start(start_from, display.warn, trust=trust)
    chosen = fill_in(recipe or ("dcgan" if start is None else start.recipe(display.warn)), settings, images, seed)
    before = None if start is None or data is not ... else start.data()
    if data is ...:
        data = "digits" if before is None else before["source"]
    path = Path(out) if out else free_name(str(data), chosen.recipe)
    refuse_existing(path)
    origin = {"source": whole_place(data), "root": absolute(data_root), "skip_bad": skip_bad, "rules": RULES}
    if before is not None:
        origin |= {"root": origin["root"] or before.get("root"), "skip_bad": skip_bad or before["skip_bad"]}
    place = where.device(choose_device(device), named=device != "auto")
    where.check_batch(chosen.batch, chosen.game.pack)
    early.check(chosen)
    dataset = open_new(chosen, origin, display, None if before is None else start_from)
    chosen = early.sized(chosen, dataset)
    use_threads(threads, display.warn, ranks=where.sharing)
    if deterministic:
        be_deterministic()
    measured, evaluator = prove(chosen, dataset, place, display, where=where)
    environment = {**describe(place, measured.precision), "ranks": where.world}
    environment["measured"] = dataclasses.asdict(measured)
    facts = health.facts(dataset)
    if start is not None:
        display.say(start.plan(chosen, dataset.signals, dataset.condition_names))
        environment["from"] = start.record()
    environment["decisions"] = decisions(chosen, dataset, evaluator)
    environment["data"] = {**origin, "fingerprint": dataset.fingerprint, "train": len(dataset.train), "facts": facts}
    with clear_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        files = [] if start_from is None else code.run_files(start_from)
        run = RunDirectory.create(path, chosen, environment, [*use, *files])
    return _play(run, chosen, dataset, environment, display, where, start=start, measured=measured)


def resume(
    place: str | Path,
    settings: Sequence[str] = (),
    *,
    images: str | int | None = None,
    data: Any = None,
    data_root: str | Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    ranks: int | None = None,
    deterministic: bool = False,
    use: Sequence[str | Path] = (),
    trust: bool = False,
    quiet: bool = False,
) -> Run:
    """Continue a run where its newest whole checkpoint was written; `images` lengthens it.

    Of the settings only those may change that decide when a run ends: `stop_when`, `patience`, `on_nan`.

    A run that is finished stays as it is, so that this may be called again and again.

    Args:
        place: the run directory.
        settings: `field=value` words.
        images: a new length, as `train` takes it.
        data: where the data are now, if they were moved, or the array or other object itself; the content must be the
            same.
        data_root: where named sets are looked for.
        device: in place of the run's own. On another device, and with other threads, it goes on, but no longer bit for
            bit as it would have: that is said, and recorded in `environment.json`.
        threads: in place of the run's own; fewer are taken where this machine has fewer cores.
        ranks: processes that train together, in place of the run's own number, with which results stay bit for bit the
            same; torchrun decides where it has started them.
        deterministic: equal bits also on a GPU, from here on; a run that began so goes on so.
        use: files that register parts; the run's copies of them may run, as they are the same.
        trust: run the Python files that the run keeps, whoever wrote them.
        quiet: print nothing.

    Raises:
        RunError: no run, in use, its recipe or data changed, or there is no such device.
        DataError: the data are not where they were.
    """
    where = launching.place(ranks)
    if where.rank:
        return following.follow(where)
    display = Display(quiet)
    usercode.use(*use)
    run = RunDirectory.open(place)
    code.refuse_edited(run.path, use)
    code.load(place, trust=trust)
    if held := code.withheld(place):
        raise RunError(f"{held}; a training cannot go on without the code that it began with")
    before = run.recipe()
    chosen = fill_in(before, settings, images, None)
    changed = _changes(before, chosen)
    if changed:
        raise RunError(
            f"{place} was trained under another recipe:\n  "
            + "\n  ".join(changed)
            + "\nresume without these settings, or "
            + starting.offer(run.path, *settings, images=images)
        )
    recorded = run.environment()
    if deterministic or recorded.get("deterministic"):
        be_deterministic()
    where = launching.place(ranks, recorded.get("ranks", 1))
    where.check_batch(chosen.batch, chosen.game.pack, fixed=True)
    environment = elsewhere.here(recorded, chosen, display.warn, where, device=device, threads=threads)
    origin = origin_of(recorded["data"], None if data is None else kept(data), data_root)
    dataset = reopen(run, chosen, origin, display, [*settings, *([f"length={images}"] if images is not None else [])])
    environment["data"] = origin
    measured = None
    if chosen != before or elsewhere.changes(recorded, environment):
        kind, among = torch.device(environment["device"]), (environment["precision"],)
        ready = prove(chosen, dataset, kind, display, among, where=where)
        environment["measured"] = dataclasses.asdict(ready.measured)
    return _play(run, chosen, dataset, environment, display, where, resumed=True, measured=measured)


def fill_in(recipe: str | Recipe, words: Sequence[str], images: str | int | None, seed: int | None) -> Recipe:
    """Recipe with settings, length and seed in their places.

    Raises:
        RecipeError: every fault, together; or the length is nothing.
    """
    words = (
        [*words] + ([f"length={images}"] if images is not None else []) + ([f"seed={seed}"] if seed is not None else [])
    )
    chosen = read_recipe(recipe, words) if isinstance(recipe, str) else settings.assign(recipe, words)
    if not chosen.length.amount:
        raise RecipeError("length: a training of no images at all; give it a length, such as --images 200k")
    return chosen


def _changes(before: Recipe, after: Recipe) -> list[str]:
    found = settings.differences(stopping.as_free(before, after), after)
    if before.length != after.length and compatibility.depends_on_length(before.game):
        found.append(f"length: {before.length} -> {after.length} (a schedule of this recipe ends with the run)")
    return found


def _play(
    run: RunDirectory,
    recipe: Recipe,
    dataset: Dataset,
    environment: dict[str, Any],
    display: Display,
    where: Place,
    resumed: bool = False,
    start: starting.Start | None = None,
    measured: Measured | None = None,
) -> Run:
    with clear_errors(run.path, recipe.game, resumed=resumed), ExitStack() as stack:
        run.hold()
        stack.callback(run.release)
        charter = following.charter(run, recipe, environment, dataset.fingerprint)
        team = stack.enter_context(launching.leading(where, charter, resume_command(run.path)))
        training = Training(run, recipe, dataset, environment, display, team)
        if start is not None:
            training.start_with(start)
        if resumed:
            go_on(training, display)
            if not training.over:
                recorded, images = run.environment(), training.feed.position
                run.write_environment(elsewhere.note(recorded, environment, images, display.warn))
        kind, together = "resuming" if resumed else "training", f" x {where.world} ranks" if where.world > 1 else ""
        count = many(len(dataset.train), next(iter(dataset.signals.values())))
        display.say(
            f"{kind} {recipe.recipe} on {dataset.name} ({count}) "
            f"for {recipe.length}, {environment['precision']} on {environment['device']}{together}, in {run.path}"
        )
        for line in [] if resumed else environment["decisions"]:
            display.say(f"  {line}")
        if measured is not None:
            left = None if training.total is None else training.total - training.feed.position
            display.say(f"  {plan.expectation(measured, left)}")
        with Interrupt(display.say, run.path) as interrupt, reporting(training):
            finished = training.play(interrupt)
    if not finished:
        command = resume_command(run.path)
        display.say(f"stopped after {training.feed.position:,} images, all saved; go on with: {command}")
    return Run(run.path, finished)
