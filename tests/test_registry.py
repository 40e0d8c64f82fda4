"""The registry of parts: text <-> part <-> Python."""

import dataclasses
import hashlib
import inspect
import py_compile
from dataclasses import dataclass
from pathlib import Path

import pytest

from zerosum import kinds, recipes
from zerosum.core import registry, usercode
from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, parse, register, registered
from zerosum.metrics import Metric
from zerosum.regularizers import R1

PARTS = [
    (kind, name)
    for kind in registry.kinds()
    if kind not in ("recipe", "game", "player", "evaluator")
    for name in registered(kind)
]


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_every_part_round_trips_through_its_text(kind, name):
    part = registered(kind)[name]()
    assert parse(kind, str(part)) == part
    assert hash(parse(kind, str(part))) == hash(part)
    assert parse(kind, name) == part


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_every_field_says_what_it_means(kind, name):
    cls = registered(kind)[name]
    assert registry.summary(cls)
    assert [field for field, _, comment in registry.described_fields(cls) if not comment] == []


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, n in PARTS if hasattr(registered(k)[n], "memory")])
def test_a_part_that_remembers_says_what_that_means_on_several_ranks(kind, name):
    assert "On several ranks" in inspect.getdoc(registered(kind)[name])


def test_text_sets_fields():
    assert parse("regularizer", "r1:gamma=5,every=16") == R1(gamma=5.0, every=16)
    assert str(R1(gamma=5, every=16)) == "r1:gamma=5.0,final=1.0,until=0,every=16"


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("r11", ["there is no regularizer 'r11'; did you mean 'r1'?"]),
        ("r1,r2", ["there is no regularizer 'r1,r2'; join several with +: r1+r2"]),
        ("r1:gama=5", ["regularizer 'r1' has no field 'gama'; did you mean 'gamma'?"]),
        ("r1:gamma=five", ["regularizer 'r1': gamma: 'five' is not a number"]),
        ("r1:gamma=-1", ["regularizer 'r1': gamma: -1.0 must be"]),
        ("r1:gamma", ["regularizer 'r1': 'gamma' is not field=value"]),
        ("r1:every=2,every=3", ["every is given twice"]),
        ("r1:gama=5,every=x", ["no field 'gama'", "every: 'x' is not a whole number"]),
    ],
)
def test_faulty_text_is_explained_in_full(text, faults):
    with pytest.raises(RecipeError) as raised:
        parse("regularizer", text)
    assert len(raised.value.faults) == len(faults)
    for fault, expected in zip(raised.value.faults, faults, strict=True):
        assert expected in fault


def test_python_is_checked_like_text():
    with pytest.raises(RecipeError, match=r"gamma: -2\.0 must be"):
        R1(gamma=-2)
    with pytest.raises(RecipeError, match="did you mean 'gamma'"):
        R1().replace(gama=2)
    assert R1(gamma=2).gamma == 2.0
    assert isinstance(R1(gamma=2).gamma, float)


def test_a_name_cannot_be_taken_twice():
    with pytest.raises(
        RecipeError, match=r"regularizer 'r1' is defined twice: in zerosum.regularizers.* and in .*Mine"
    ):

        @register("regularizer", "r1")
        @dataclass(frozen=True)
        class Mine(Part):
            """Mine."""


def test_a_part_must_be_a_frozen_dataclass():
    with pytest.raises(RecipeError, match="write @dataclass"):

        @register("regularizer", "loose")
        class Loose(Part):
            """Loose."""

    with pytest.raises(RecipeError, match=r"must derive from zerosum\.Part"):

        @register("regularizer", "stranger")
        @dataclass(frozen=True)
        class Stranger:
            """Stranger."""


def test_unknown_kind_is_refused():
    with pytest.raises(RecipeError, match="did you mean 'optimizer'"):
        registered("optimiser")


@pytest.mark.parametrize(
    ("kind", "body", "fault"),
    [
        ("objective", "def discriminator(self, real, fake): ...", "pairs is missing: true where the generator's loss"),
        (
            "objective",
            "pairs = False",
            r"generator is missing: generator\(fake, real=None\) gives the generator's loss",
        ),
        ("network", "def build(self, inputs, outputs): ...", r"traits is missing: traits\(\) says what it is"),
        ("rule", "", r"apply is missing: apply\(module\) changes the weights"),
        ("regularizer", "player = 'critic'", "player is 'critic'; it must be 'discriminator' or 'generator' or 'both'"),
        ("augmentation", "needs = 'images'", "needs must be a dict, not str"),
        ("latent", "def __call__(self, count, device): ...", "size is missing: how many numbers a latent has"),
        ("data", "", r"contents is missing: contents\(\) gives zerosum.data.Contents"),
        ("extractor", "", "fitted is missing: true where real images decide"),
    ],
)
def test_what_a_part_lacks_is_said_in_words(kind, body, fault):
    made = dataclasses.dataclass(frozen=True)(type("Mine", (Part,), _members(body)))
    with pytest.raises(RecipeError, match=rf"{kind} 'half-made': {fault}"):
        register(kind, "half-made")(made)
    assert "half-made" not in registered(kind)


def _members(body):
    members = {"__module__": __name__}
    exec(body, {}, members)
    return members


def test_a_metric_says_which_of_its_numbers_are_better():
    @dataclass(frozen=True)
    class Mine(Metric):
        """Mine."""

        def __call__(self, evidence): ...

    with pytest.raises(RecipeError, match="metric 'half-made': better is missing: dictionary of each number's name"):
        register("metric", "half-made")(Mine)

    @dataclass(frozen=True)
    class Stranger(Part):
        """Derives nothing that a judge asks for."""

        better = {"x": True}  # noqa: RUF012

        def __call__(self, evidence): ...

    with pytest.raises(
        RecipeError, match=r"lacks\(evidence\) says what is missing, or None; derive zerosum.metrics.Metric"
    ):
        register("metric", "half-made")(Stranger)


def test_a_kind_that_is_not_there_is_refused():
    with pytest.raises(RecipeError, match="there is no kind of part called 'regulariser'; did you mean 'regularizer'"):
        register("regulariser", "mine")(R1)


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_every_part_has_what_its_kind_asks_for(kind, name):
    assert list(kinds.faults(kind, registered(kind)[name])) == []


def test_parts_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        R1().gamma = 3


def test_a_users_file_is_loaded_once_and_its_faults_name_the_line(tmp_path):
    good = tmp_path / "good.py"
    good.write_text(
        "from dataclasses import dataclass\nfrom zerosum import Part, register\n"
        "@register('rule', 'good-rule')\n@dataclass(frozen=True)\nclass Good(Part):\n    '''Good.'''\n"
        "    def apply(self, module): ...\n"
    )
    usercode.use(good)
    usercode.use(good)
    (tmp_path / "copy.py").write_text(good.read_text())
    usercode.use(tmp_path / "copy.py")
    assert "good-rule" in registered("rule")
    bad = tmp_path / "bad.py"
    bad.write_text("x = 1\nraise KeyError('oops')\n")
    with pytest.raises(RecipeError, match=r"bad.py, line 2: KeyError: 'oops'"):
        usercode.use(bad)
    bad.write_text("def broken(:\n")
    with pytest.raises(RecipeError, match=r"bad.py, line 1: SyntaxError"):
        usercode.use(bad)
    with pytest.raises(RecipeError, match="there is no such Python file"):
        usercode.use(tmp_path / "none.py")


def test_what_is_run_is_the_source_and_not_bytecode_beside_it(tmp_path):
    """__pycache__ may come with a file, and Python would run it in the place of the source."""
    path = tmp_path / "harmless.py"
    path.write_text("raise ValueError('evil')")
    cached = py_compile.compile(str(path), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    assert Path(cached).is_file()
    path.write_text("x = 1")
    usercode.use(path)
    assert hashlib.sha256(b"x = 1").hexdigest() in usercode.used()


def test_a_file_that_ends_python_is_a_fault_of_that_file(tmp_path):
    path = tmp_path / "ends.py"
    path.write_text("\nimport sys\nsys.exit(3)")
    with pytest.raises(RecipeError, match=r"ends\.py, line 3: SystemExit: 3"):
        usercode.use(path)


def test_a_slot_takes_parts_alone():
    for slots in ({"generator": 3}, {"regularizers": ("r1",)}, {"regularizers": "r1"}):
        with pytest.raises(RecipeError, match=r"(3|'r1') is not a part"):
            recipes.read_recipe("mlp").game.replace(**slots)


def test_what_is_unknown_or_missing_is_said_of_a_class_and_of_a_part():
    for part in (R1, R1()):
        assert registry.unknown_field(part, "gama") == "regularizer 'r1' has no field 'gama'; did you mean 'gamma'?"
        assert not registry.is_composite(part)
    game = registered("game")["image"]
    assert registry.is_composite(game)
    assert registry.missing(R1, []) == []
    assert registry.missing(game, ["generator", "discriminator", "latent"]) == [
        "game 'image': objective is missing; there is: " + ", ".join(registered("objective"))
    ]


def test_a_plain_field_without_a_default_is_missed():
    @dataclass(frozen=True)
    class Sized(Part):
        """Has a size."""

        size: int

    assert registry.missing(Sized, []) == ["size is missing; it has no default"]
    assert registry.missing(Sized, ["size"]) == []


def test_comments_of_fields_are_those_of_the_class_or_of_its_bases():
    class Base(Part):
        """Not a dataclass."""

    @dataclass(frozen=True)
    class Above(Base):
        """Above."""

        weight: float = 1.0  # of the sum

    @dataclass(frozen=True)
    class Below(Above):
        """Below, in one line.

        And more.
        """

        steps: int = 2
        each: float = 0.5  # share

    assert list(registry.described_fields(Below)) == [
        ("weight", float, "of the sum"),
        ("steps", int, ""),
        ("each", float, "share"),
    ]
    assert registry.summary(Below) == "Below, in one line."
    assert registry.summary(3) == "int([x]) -> integer"


@pytest.mark.parametrize("name", ["", "Upper", "two words", "a--b", "-a", "a_b"])
def test_a_malformed_name_is_refused(name):
    with pytest.raises(RecipeError, match="names are lower-case words joined by '-'"):
        registry.add("rule", name, R1)
    assert name not in registered("rule")
