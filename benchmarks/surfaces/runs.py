"""Surface: run directories, with one file damaged or written anew, given to every command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random

import zerosum
from benchmarks.surfaces.surface import Case, Surface, command, fresh, odd_value, spoil, tamper, to_json
from tests.markup import whole
from zerosum.runs.storage import checkpoint

WORDS = (
    "generator.channels=4", "discriminator.channels=4", "batch=16", "report=32", "samples=64", "evaluation=64",
    "checkpoint=64", "evaluator.count=20", "evaluator.metrics=sliced-wasserstein", "precision=fp32",
)  # fmt: skip
COMMANDS = {  # with weights: quick ones come more often
    "doctor": 60, "compare": 40, "sample": 40, "python": 40, "show": 10, "report": 6, "page": 6, "evaluate": 3,
    "resume": 3, "from": 3, "longer": 1,
}  # fmt: skip


class Runs(Surface):
    """A short training on digits with something wrong in its directory."""

    name = "run"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.whole, self.run = folder / "whole", folder / "run"
        zerosum.train("digits", "dcgan", WORDS, images=128, out=self.whole, threads=1, quiet=True)
        self.files = sorted(path.relative_to(self.whole) for path in self.whole.rglob("*") if path.is_file())
        self.files = [path for path in self.files if path.name not in (".lock", "report.html")]

    def case(self, random: Random) -> Case:
        """One damage, one command."""
        name = random.choices(list(COMMANDS), list(COMMANDS.values()))[0]
        fresh(self.whole, self.run)
        return Case(f"{name}: {self._damage(random)}", lambda: self._use(name, random))

    def _damage(self, random: Random) -> str:
        kind = random.choice(
            ("spoil", "spoil", "environment", "line", "line", "manifest", "pointer", "stray", "folder")
        )
        if kind == "spoil":
            path = random.choice(self.files)
            return f"{path.parent}: {spoil(self.run / path, random)}"
        if kind == "environment":
            path = self.run / "environment.json"
            what, value = tamper(json.loads(path.read_text()), random)
            path.write_bytes(to_json(value))
            return f"environment.json: {what}"
        if kind == "line":
            path = self.run / random.choice(("metrics.jsonl", "evaluations.jsonl"))
            lines = path.read_bytes().splitlines()
            place = random.randrange(len(lines))
            what, value = tamper(json.loads(lines[place]), random)
            lines[place] = to_json(value)
            path.write_bytes(b"\n".join(lines) + random.choice((b"", b"\n")))
            return f"{path.name}, line {place}: {what}"
        if kind == "manifest":
            return self._reseal(random)
        if kind == "pointer":
            path = self.run / random.choice(("latest", "best"))
            text = random.choice(
                ("000000000", "999999999", "../..", "x" * 9, "0" * 400, "", "\x00", "\u0663" * 9, "-00000001")
            )
            path.write_text(text)
            return f"{path.name}: {text[:20]!r}"
        if kind == "stray":
            place = random.choice(
                ("samples/x.png", "samples/00x.png", "checkpoints/12ab/x", "code/x.py/y", "code/x.py", "x")
            )
            (self.run / place).parent.mkdir(parents=True, exist_ok=True)
            (self.run / place).write_text("import")
            return f"stray {place}"
        path = self.run / random.choice(("checkpoints", "samples"))
        path.rename(self.run / "away")
        if random.random() < 0.5:
            path.write_text("no folder")
        return f"{path.name}: no folder"

    def _reseal(self, random: Random) -> str:
        """A manifest of another content, with a checksum that is right."""
        path = random.choice(sorted((self.run / "checkpoints").glob("*"))) / "manifest.json"
        what, value = tamper(json.loads(path.read_text())["manifest"], random)
        try:
            path.write_bytes(checkpoint._sealed(value))  # type: ignore[arg-type]
        except (ValueError, RecursionError, TypeError):
            path.write_bytes(to_json({"manifest": odd_value(random)}))
        return f"{path.parent.name}/manifest.json: {what}"

    def _use(self, name: str, random: Random) -> None:
        run, out, new, page = self.run, self.folder / "out.npz", self.folder / "new", self.folder / "page.html"
        if name == "python":
            assert all("images" in line for line in (*zerosum.Run(run).metrics, *zerosum.Run(run).evaluations))
            return
        out.unlink(missing_ok=True)
        shutil.rmtree(new, ignore_errors=True)
        quick = ("--quiet", "--threads", 1)
        words: dict[str, tuple[object, ...]] = {
            "sample": ("sample", run, "--count", 2, "--out", out),
            "evaluate": ("evaluate", run, "--count", 20, "--metrics", "sliced-wasserstein", *quick),
            "compare": ("compare", run, self.whole),
            "page": ("compare", run, self.whole, "--html", page, "--overwrite"),
            "resume": ("resume", run, *quick),
            "longer": ("resume", run, "--images", 160, *quick),
            "from": ("train", "--from", run, "--images", 32, "--out", new, *quick),
            "show": ("show", random.choice((run, run / "recipe.toml"))),
        }
        command(*words.get(name, (name, run)))
        if name in ("page", "report"):
            whole((page if name == "page" else run / "report.html").read_text(encoding="utf-8"))
