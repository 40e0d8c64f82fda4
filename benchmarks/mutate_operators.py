"""What `mutate.py` does to a line: each operator proposes small changes of one expression.

A change is a splice of the source, so that everything else stays byte for byte. Only code inside functions and methods
is changed; docstrings, messages of errors, assertions, annotations and decorators are left alone.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_ARITHMETIC = {ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*")} | {
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
}
_COMPARISONS = {  # symbol, and what it becomes: another side, another border
    ast.Lt: ("<", (">=", "<=")),
    ast.LtE: ("<=", (">", "<")),
    ast.Gt: (">", ("<=", ">=")),
    ast.GtE: (">=", ("<", ">")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
}
_DROPPED = ("detach", "square", "abs", "sqrt", "rsqrt", "neg", "exp", "float")  # calls without arguments
_EXCHANGED = {"mean": "sum", "sum": "mean"} | {
    one: other
    for low, high in (("min", "max"), ("minimum", "maximum"), ("clamp_min", "clamp_max"), ("argmin", "argmax"))
    for one, other in ((low, high), (high, low))
}
_SYMMETRIC = ("max", "min", "maximum", "minimum", "promote_types")
_KIND = re.compile(r"(?<![a-z])(real|fake)(?![a-z])")

Change = tuple[int, int, str]  # first byte, byte behind the last, what stands there instead


@dataclass(frozen=True)
class Mutant:
    """One change of a file."""

    file: str  # below src/zerosum
    unit: str  # class or function of the module that it is in
    function: str  # qualified name of the function that it is in
    line: int
    operator: str
    start: int  # bytes of the source that are replaced
    end: int
    new: str
    before: str  # the changed line or lines
    after: str

    def apply(self, source: bytes) -> bytes:
        """The source with this change."""
        return source[: self.start] + self.new.encode() + source[self.end :]


class Text:
    """A source, and where its nodes are."""

    def __init__(self, source: bytes, tree: ast.Module) -> None:
        self.source = source
        self.names = {getattr(node, "id", getattr(node, "arg", "")) for node in ast.walk(tree)}
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def start(self, node: ast.AST) -> int:
        """First byte of a node."""
        return self._lines[node.lineno - 1] + node.col_offset

    def end(self, node: ast.AST) -> int:
        """Byte behind a node."""
        return self._lines[node.end_lineno - 1] + node.end_col_offset

    def of(self, node: ast.AST) -> str:
        """Text of a node."""
        return self.source[self.start(node) : self.end(node)].decode()

    def symbol(self, left: ast.AST, symbol: str, right: ast.AST) -> tuple[int, int]:
        """Place of an operator between two nodes, which may stand in brackets."""
        place = self.source.index(symbol.encode(), self.end(left), self.start(right))
        return place, place + len(symbol)

    def lines(self, start: int, end: int) -> tuple[int, int]:
        """Whole lines around a place."""
        stop = self.source.find(b"\n", end)
        return self.source.rfind(b"\n", 0, start) + 1, len(self.source) if stop < 0 else stop


def arithmetic(node: ast.AST, text: Text) -> Iterator[Change]:
    """+ for -, * for /, and back."""
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        old, new = _ARITHMETIC[type(node.op)]
        yield *text.symbol(node.left, old, node.right), new
    if isinstance(node, ast.AugAssign) and type(node.op) in _ARITHMETIC:
        old, new = _ARITHMETIC[type(node.op)]
        yield *text.symbol(node.target, old, node.value), new


def comparison(node: ast.AST, text: Text) -> Iterator[Change]:
    """< for >= and for <=, == for !=, and so on."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        old, others = _COMPARISONS[type(node.ops[0])]
        for new in others:
            yield *text.symbol(node.left, old, node.comparators[0]), new


def connective(node: ast.AST, text: Text) -> Iterator[Change]:
    """`and` for `or`."""
    if isinstance(node, ast.BoolOp):
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        yield *text.symbol(node.values[0], old, node.values[1]), new


def constant(node: ast.AST, text: Text) -> Iterator[Change]:
    """0 to 1, 1 to 2, x to 2 x."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        new = {0: 1, 1: 2}.get(node.value, 2 * node.value)
        yield text.start(node), text.end(node), repr(type(node.value)(new))


def truth(node: ast.AST, text: Text) -> Iterator[Change]:
    """True for False."""
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield text.start(node), text.end(node), repr(not node.value)


def sign(node: ast.AST, text: Text) -> Iterator[Change]:
    """No minus, no `not`, no `~`."""
    if isinstance(node, ast.UnaryOp):
        symbol = {ast.USub: "-", ast.Not: "not ", ast.Invert: "~"}.get(type(node.op))
        if symbol:
            yield text.start(node), text.start(node) + len(symbol), ""


def factor(node: ast.AST, text: Text) -> Iterator[Change]:
    """A product or quotient without one of its two."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
        start, end = text.symbol(node.left, _ARITHMETIC[type(node.op)][0], node.right)
        yield len(text.source[:start].rstrip()), text.end(node), ""
        if isinstance(node.op, ast.Mult):
            yield text.start(node), len(text.source) - len(text.source[end:].lstrip()), ""


def dropped_call(node: ast.AST, text: Text) -> Iterator[Change]:
    """No `.detach()`, no `.square()` ..."""
    if not isinstance(node, ast.Call) or node.args or node.keywords:
        return
    if isinstance(node.func, ast.Attribute) and node.func.attr in _DROPPED:
        yield text.source.rindex(b".", 0, text.end(node.func)), text.end(node), ""


def exchanged_call(node: ast.AST, text: Text) -> Iterator[Change]:
    """`sum` for `mean`, `min` for `max`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        if name in _EXCHANGED:
            yield text.end(node.func) - len(name), text.end(node.func), _EXCHANGED[name]


def swapped_arguments(node: ast.AST, text: Text) -> Iterator[Change]:
    """The first two arguments of a call in the other order, where both are of one kind and their order matters."""
    if isinstance(node, ast.Call) and len(node.args) >= 2 and text.of(node.func).split(".")[-1] not in _SYMMETRIC:
        one, other = node.args[:2]
        if type(one) is type(other) and not isinstance(one, ast.Starred) and text.of(one) != text.of(other):
            between = text.source[text.end(one) : text.start(other)].decode()
            yield text.start(one), text.end(other), text.of(other) + between + text.of(one)


def axis(node: ast.AST, text: Text) -> Iterator[Change]:
    """dim=0 for every other axis, 1 for 0."""
    if isinstance(node, ast.keyword) and node.arg == "dim" and isinstance(node.value, ast.Constant | ast.UnaryOp):
        yield text.start(node.value), text.end(node.value), "1" if text.of(node.value) == "0" else "0"


def real_fake(node: ast.AST, text: Text) -> Iterator[Change]:
    """`real` for `fake`, and back, as a name or in a name or as a word."""
    if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
        name = node.attr if isinstance(node, ast.Attribute) else node.id
    elif isinstance(node, ast.Constant) and node.value in ("real", "fake"):
        name = node.value + text.of(node)[0]
    else:
        return
    new = _KIND.sub(lambda found: {"real": "fake", "fake": "real"}[found[0]], name)
    if new != name and (not isinstance(node, ast.Name) or new in text.names):
        yield text.end(node) - len(name), text.end(node), new


def guard(node: ast.AST, text: Text) -> Iterator[Change]:
    """A condition that always holds, and one that never does."""
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        tests = [node.test]
    elif isinstance(node, ast.comprehension):
        tests = node.ifs
    elif isinstance(node, ast.match_case) and node.guard:
        tests = [node.guard]
    else:
        return
    for test in tests:
        for new in ("True", "False"):
            if not (isinstance(node, ast.While) and new == "True"):
                yield text.start(test), text.end(test), new


OPERATORS: dict[str, Callable[[ast.AST, Text], Iterator[Change]]] = {
    operator.__name__: operator
    for operator in (
        arithmetic,
        comparison,
        connective,
        constant,
        truth,
        sign,
        factor,
        dropped_call,
        exchanged_call,
        swapped_arguments,
        axis,
        real_fake,
        guard,
    )
}


def mutants(file: str, source: bytes) -> Iterator[Mutant]:
    """Every change of a file that gives another program, in the order of the lines."""
    tree: ast.Module = ast.parse(source)
    text, program, seen = Text(source, tree), ast.dump(tree), set()
    for unit in tree.body:
        if not isinstance(unit, ast.ClassDef | ast.FunctionDef):
            continue
        for node, function in _code(unit, ""):
            for name, operator in OPERATORS.items():
                for start, end, new in operator(node, text):
                    mutant = _mutant(file, unit.name, function, name, (start, end, new), text)
                    if (start, end, new) not in seen and _differs(mutant.apply(source), program):
                        seen.add((start, end, new))
                        yield mutant


def _code(node: ast.AST, name: str) -> Iterator[tuple[ast.AST, str]]:
    """Nodes that may change, each with the name of its method or function."""
    if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr):
        return
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        inside = name.endswith("()")
        name = name if inside else f"{name.removesuffix('.')}{'.' if name else ''}{node.name}"
        name += "()" if isinstance(node, ast.FunctionDef) and not inside else ""
        defaults = [] if isinstance(node, ast.ClassDef) else [*node.args.defaults, *filter(None, node.args.kw_defaults)]
        children: list[ast.AST] = [*defaults, *node.body]
    else:
        if name.endswith("()"):
            yield node, name.removesuffix("()")
        children = [child for field, child in _fields(node) if field not in ("annotation", "returns")]
    for child in children:
        yield from _code(child, name)


def _fields(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield field, child


def _mutant(file: str, unit: str, function: str, operator: str, change: Change, text: Text) -> Mutant:
    start, end, new = change
    first, last = text.lines(start, end)
    old = text.source[first:last].decode()
    after = text.source[first:start].decode() + new + text.source[end:last].decode()
    line = text.source.count(b"\n", 0, start) + 1
    return Mutant(file, unit, function, line, operator, start, end, new, " ".join(old.split()), " ".join(after.split()))


def _differs(source: bytes, program: str) -> bool:
    """True where a source is a program at all, and another one."""
    try:
        return ast.dump(ast.parse(source)) != program
    except SyntaxError:
        return False
