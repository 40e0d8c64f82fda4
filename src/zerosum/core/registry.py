"""Parts, and the registry of all of them.

A part is a frozen dataclass with a kind and a name: class = configuration = text = Python.

    @register("regularizer", "r1")
    @dataclass(frozen=True)
    class R1(Part):
        gamma: Positive = 10.0  # weight of ||gradient||^2 / 2

`str(R1(gamma=5))` is `r1:gamma=5.0`, and `parse("regularizer", "r1:gamma=5")` gives the part back.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import inspect
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Self, TypeVar, get_type_hints

from zerosum.core import values
from zerosum.core.errors import SHOWN, RecipeError, UnknownPartError, ZerosumWarning, nearest, shown


class Part:
    """Base of all parts: knows its name, checks its fields, writes itself as text.

    A part of a game may also say what it needs (`needs`), what it cannot live with (`clashes`: trait -> why and how to
    mend) and what it brings (`traits`); `zerosum.core.compatibility` holds all of it together before a training starts.
    """

    kind: ClassVar[str] = ""
    name: ClassVar[str] = ""
    needs: ClassVar[dict[str, str]] = {}  # trait -> why, and what provides it
    clashes: ClassVar[dict[str, str]] = {}  # trait -> why, and how to mend

    def __post_init__(self) -> None:
        faults = []
        for name, kind in field_types(type(self)).items():
            plain, _ = values.strip(kind)
            value = getattr(self, name)
            if plain is float:
                object.__setattr__(self, name, values.as_float(value))
            elif plain is tuple or getattr(plain, "__origin__", None) is tuple:
                object.__setattr__(self, name, tuple(value) if isinstance(value, list) else value)
            check = _check_slot if slot_kind(type(self), name) else values.check
            fault = check(getattr(self, name), kind)
            if fault:
                faults.append(f"{self.kind} {self.name!r}: {name}: {fault}" if self.name else f"{name}: {fault}")
        if faults:
            raise RecipeError(faults)

    def traits(self) -> frozenset[str]:
        """Properties that other parts may need or clash with."""
        return frozenset()

    def __str__(self) -> str:
        types = field_types(type(self))
        fields = ",".join(f"{name}={values.write(getattr(self, name), kind)}" for name, kind in types.items())
        return f"{self.name}:{fields}" if fields else self.name

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        unknown = changes.keys() - field_types(type(self)).keys()
        if unknown:
            raise RecipeError([unknown_field(self, name) for name in sorted(unknown)])
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]


@dataclasses.dataclass(frozen=True)
class Unloaded(Part):
    """Stands for a part whose file is not loaded: it keeps the text, and can do nothing."""

    text: str

    @property
    def name(self) -> str:  # type: ignore[override]
        """What the part is called."""
        return self.text.partition(":")[0]

    def __str__(self) -> str:
        return self.text


@functools.cache
def declared() -> Any:
    """What parts of each kind must have; the core knows where that is written, and nothing of it."""
    return importlib.import_module("zerosum.kinds")


P = TypeVar("P", bound=type)
_registry: dict[str, dict[str, Any]] = {}  # kind -> name -> part class, or function that returns a recipe


def register(kind: str, name: str) -> Callable[[P], P]:
    """Enter a part in the registry under a kind and a name.

    Raises:
        RecipeError: the name is taken by another part, the class is no frozen dataclass derived from `Part`, or it
            lacks what parts of its kind have.
    """

    def put(part: P) -> P:
        where = f"{part.__module__}.{part.__qualname__}"
        if not (isinstance(part, type) and issubclass(part, Part)):
            raise RecipeError(f"{where}: a part of the kind {kind!r} must derive from zerosum.Part")
        if "__dataclass_params__" not in vars(part) or not part.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise RecipeError(f"{where}: write @dataclass(frozen=True) under @register({kind!r}, {name!r})")
        if kind not in declared().PROTOCOLS:
            raise RecipeError(
                f"{where}: there is no kind of part called {kind!r}; {nearest(kind, declared().PROTOCOLS)}"
            )
        lacking = [f"{kind} {name!r}: {fault}" for fault in declared().faults(kind, part)]
        if lacking and name not in _registry.get(kind, ()):
            raise RecipeError(lacking)
        part.kind, part.name = kind, name
        return add(kind, name, part)

    return put


T = TypeVar("T")
BARE = (dataclasses.MISSING, None)  # defaults of fields that have to be given: a recipe is none without its game


def add(kind: str, name: str, thing: T) -> T:
    """Enter anything in the registry; used directly only for recipes, which are functions.

    Raises:
        RecipeError: the name is malformed or taken.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise RecipeError(f"{kind} {shown(name)}: names are lower-case words joined by '-'")
    registered_part = _registry.setdefault(kind, {}).get(name)
    if registered_part is not None:
        things: tuple[Any, Any] = registered_part, thing
        at = [f"{one.__module__}.{one.__qualname__}" for one in things]
        raise RecipeError(f"{kind} {name!r} is defined twice: in {at[0]} and in {at[1]}; rename one of them")
    _registry[kind][name] = thing
    return thing


def kinds() -> list[str]:
    """Names of all kinds of part."""
    return sorted(_registry)


def registered(kind: str) -> dict[str, Any]:
    """All parts of a kind by name, sorted.

    Raises:
        RecipeError: there is no such kind.
    """
    if kind not in _registry:
        raise RecipeError(f"there is no kind of part called {shown(kind)}; {nearest(kind, _registry)}")
    return dict(sorted(_registry[kind].items()))


def lookup(kind: str, name: str) -> Any:
    """Find a part by kind and name.

    Raises:
        RecipeError: there is none of that name; the message offers the nearest, or how to write several.
    """
    parts = registered(kind)
    if name not in parts:
        several = all(one in parts for one in name.split(","))
        hint = f"join several with +: {name.replace(',', '+')[:SHOWN]}" if several else nearest(name, parts)
        if not several and not difflib.get_close_matches(name, parts, 1):
            hint += "; a part of your own comes with --use FILE"
        raise UnknownPartError(f"there is no {kind} {shown(name)}; {hint}")
    return parts[name]


def parse(kind: str, text: str) -> Any:
    """Make a part from its text, for example `r1:gamma=5,every=16`.

    Raises:
        RecipeError: every fault of the text, together.
    """
    name, _, settings = text.strip().partition(":")
    part = lookup(kind, name.strip())
    types = field_types(part)
    fields: dict[str, Any] = {}
    faults = []
    for setting in filter(None, (word.strip() for word in settings.split(","))):
        key, equals, value = (word.strip() for word in setting.partition("="))
        if key not in types or not equals:
            faults.append(
                unknown_field(part, key) if equals else f"{kind} {name!r}: {shown(setting)} is not field=value"
            )
        elif slot_kind(part, key):
            faults.append(f"{kind} {name!r}: {key} is made of parts; set it by itself, as {key}=...")
        elif key in fields:
            faults.append(f"{kind} {name!r}: {key} is given twice")
        else:
            try:
                fields[key] = values.read(value, types[key])
            except ValueError as error:
                faults.append(f"{kind} {name!r}: {key}: {error}")
    faults += missing(part, fields)
    if faults:
        raise RecipeError(faults)
    return part(**fields)


def missing(part: type[Part], fields: Iterable[str]) -> list[str]:
    """A message for each field that a part cannot be without."""
    defaults = {field.name: field.default for field in dataclasses.fields(part)}  # type: ignore[arg-type]
    bare = [name for name, default in defaults.items() if name not in fields and default in BARE]
    at = f"{part.kind} {part.name!r}: " if part.name else ""
    return [f"{at}{name} is missing; {_hint(part, name)}" for name in bare]


def _hint(part: type[Part], name: str) -> str:
    kind = slot_kind(part, name)
    return nearest("", registered(kind)) if kind else "it has no default"


def unknown_field(part: Part | type[Part], field: str) -> str:
    """Message for a field that a part does not have."""
    cls = part if isinstance(part, type) else type(part)
    at = f"{cls.kind} {cls.name!r} has" if cls.name else "there is"
    return f"{at} no field {shown(field)}; {nearest(field, field_types(cls))}"


_types: dict[Any, dict[str, Any]] = {}


def field_types(cls: Any) -> dict[str, Any]:
    """Annotations of a part's fields, in their order."""
    if cls not in _types:
        hints = get_type_hints(cls, include_extras=True)
        _types[cls] = {field.name: hints[field.name] for field in dataclasses.fields(cls)}
    return _types[cls]


def slot(kind: str, default: Any = dataclasses.MISSING, implied: str = "", formerly: str = "") -> Any:
    """Declare a field that holds a part of a kind, or a tuple of them.

    `implied` is what an empty tuple stands for; `formerly`, the field's name in earlier versions, is read with a note.
    """
    return dataclasses.field(default=default, metadata={"kind": kind, "implied": implied, "formerly": formerly})


def current(cls: Any, field: str) -> str:
    """Today's name of a field of a part; a former one is warned of."""
    name = next((one.name for one in dataclasses.fields(cls) if one.metadata.get("formerly") == field), field)
    if name != field:
        warnings.warn(f"the setting {field} is called {name} now", ZerosumWarning, stacklevel=2)
    return name


def slot_kind(cls: Any, field: str) -> str | None:
    """Kind of part that a field holds; None for a plain value."""
    return cls.__dataclass_fields__[field].metadata.get("kind")


def holds_several(cls: Any, field: str) -> bool:
    """True for a field that holds a tuple of parts."""
    return isinstance(cls.__dataclass_fields__[field].default, tuple)


def _check_slot(value: Any, _: Any) -> str | None:
    """Say what is wrong with what stands in the place of parts, or None."""
    parts = value if isinstance(value, tuple) else () if value is None else (value,)
    odd = next((one for one in parts if not isinstance(one, Part)), None)
    return None if odd is None else f"{shown(odd)} is not a part"


def implied(cls: Any, field: str) -> tuple[Any, ...]:
    """Parts that an empty tuple in a field stands for."""
    meta = cls.__dataclass_fields__[field].metadata
    return (parse(meta["kind"], meta["implied"]),) if meta.get("implied") else ()


def is_composite(part: Any) -> bool:
    """True for a part, or a class of parts, that holds parts: written as a table, not as one line."""
    cls = part if isinstance(part, type) else type(part)
    return any(slot_kind(cls, name) for name in field_types(cls))


def described_fields(cls: Any) -> Iterator[tuple[str, Any, str]]:
    """Name, type and comment of each field; the comment is what stands on the field's line in the source."""
    above = [one for one in cls.__mro__ if one is not Part and "__dataclass_params__" in vars(one)]
    source = "\n".join(inspect.getsource(one) for one in above)  # a field may be that of a base
    for name, kind in field_types(cls).items():
        match = re.search(rf"^\s+{name}\s*:[^\n]*?#\s*(.+)$", source, re.MULTILINE)
        yield name, kind, match[1].strip() if match else ""


def summary(part: Any) -> str:
    """First line of a part's docstring."""
    return (inspect.getdoc(part) or "").partition("\n")[0]
