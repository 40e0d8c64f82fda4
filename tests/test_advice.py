"""Every option that a message advises is one of the command that prints it."""

import ast
from pathlib import Path

import pytest

import zerosum
from tests.advice import OPTION, OPTIONS, foreign

SOURCE = Path(zerosum.__file__).parent
PRINTED_BY = {  # files, or functions of them, with texts that name options: the commands that print these
    "core/registry.py": "ls show train resume sample evaluate doctor compare",
    "cli/evaluate.py": "evaluate",
    "cli/looking.py": "sample",
    "cli/training.py": "train resume",
    "cli/transform.py": "encode",
    "core/usercode.py": "train resume sample evaluate compare doctor report ls show",
    "data/named.py": "train resume sample evaluate",
    "data/pixels.py": "train sample evaluate",  # resume says it in its own words
    "data/tables.py": "train sample evaluate",
    "metrics/suite/copies.py": "train resume evaluate",
    "runs/storage/code.py": "train resume sample evaluate show",
    "runs/evaluation/compare.py": "compare",
    "runs/storage/directory.py": "train",
    "runs/view/draft.py": "sample",
    "runs/storage/environment.py": "train resume sample evaluate",
    "runs/evaluation/evaluate.py": "evaluate",
    "runs/training/failures.py": "train",  # resume says it in its own words
    "runs/storage/asking.py": "translate reconstruct encode",
    "runs/storage/saved.py": "sample evaluate train",
    "runs/storage/trained.py: with_latent": "sample",
    "runs/storage/trained.py: TrainedModel": "translate reconstruct encode",
    "runs/view/transform.py": "translate reconstruct encode",
    "runs/evaluation/evaluator.py": "train resume evaluate",
    "runs/evaluation/subject.py": "evaluate",
    "runs/evaluation/neighbours.py": "sample",
    "runs/storage/outputs.py": "sample compare translate reconstruct encode",
    "runs/training/launching.py": "train resume",
    "runs/view/report.py": "report train resume",
    "runs/view/sample.py": "sample",
    "runs/training/session.py": "train resume",
    "runs/training/session.py: train": "train",
    "runs/training/starting.py": "train",
}


def texts(top):
    """Texts of a function or class that name an option: no docstrings, no help, no option that stands by itself."""
    nodes = list(ast.walk(top))
    aside = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            aside |= {id(part) for part in node.values}
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("typer."):
            aside |= {id(part) for part in ast.walk(node)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        else:
            text = str(node.value) if isinstance(node, ast.Constant) else ""
        if id(node) not in aside and OPTION.search(text) and not OPTION.fullmatch(text):
            yield text


def advice():
    """Texts by file, or by file and function where the table has that."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        for top in ast.parse(path.read_text()).body:
            of = f"{name}: {getattr(top, 'name', '')}"
            found.setdefault(of if of in PRINTED_BY else name, []).extend(texts(top))
    return {name: said for name, said in found.items() if said}


ADVICE = advice()


def test_who_prints_advice_is_known():
    assert ADVICE.keys() == PRINTED_BY.keys()


@pytest.mark.parametrize("name", ADVICE)
def test_an_option_that_is_advised_is_one_of_the_command(name):
    for command in PRINTED_BY[name].split():
        for text in ADVICE[name]:
            assert not foreign(command, text), f"{command} has no such option: {text}"


def test_advice_that_does_not_fit_is_noticed():
    assert foreign("resume", "wait, or choose another --out") == {"--out"}
    assert foreign("train", "wait, or choose another --out") == set()
    assert foreign("resume", "`zerosum train --out x` makes one") == set()
    assert foreign("train", "`zerosum resume --out x`; or take --trust") == {"--out"}
    assert foreign("resume", "zerosum train --use x; or take --out") == {"--out"}
    assert {"--trust", "--use"} <= OPTIONS["train"] & OPTIONS["resume"] & OPTIONS["sample"]
