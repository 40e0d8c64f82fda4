"""Dotted words and TOML for trees of parts."""

import re

import pytest

from zerosum.core import registry, settings, tree
from zerosum.core.errors import RecipeError, ZerosumWarning
from zerosum.core.values import Length
from zerosum.objectives import Hinge
from zerosum.recipes import Recipe, read_recipe
from zerosum.recipes.convolutional import dcgan, rpgan
from zerosum.regularizers import R1, R2


@pytest.mark.parametrize("name", list(registry.registered("recipe")))
def test_every_recipe_round_trips_through_toml(name):
    recipe = read_recipe(name)
    again = settings.from_toml(Recipe, settings.to_toml(recipe))
    assert again == recipe
    assert hash(again) == hash(recipe)
    assert recipe.recipe == name


def test_words_reach_the_parts_they_mean():
    recipe = read_recipe(
        "dcgan",
        [
            "objective=hinge",
            "discriminator.lr=1e-4",
            "regularizers=r1:gamma=5,every=16+r2",
            "size=64",
            "length=10epochs",
        ],
    )
    assert recipe.game.objective == Hinge()
    assert recipe.game.discriminator.optimizer.lr == 1e-4
    assert recipe.game.generator.optimizer.lr == 2e-4
    assert recipe.game.regularizers == (R1(gamma=5.0, every=16), R2())
    assert recipe.data.size == "64"
    assert recipe.length == Length(10, "epochs")


def test_words_come_in_any_order():
    words = ["discriminator.optimizer=sgd", "discriminator.momentum=0.9", "batch=32"]
    assert read_recipe("dcgan", words) == read_recipe("dcgan", words[::-1])


def test_parts_are_added_to_a_list_and_taken_away():
    recipe = read_recipe("rpgan", ["regularizers+=lecam+orthogonal", "regularizers-=r2"])
    assert [part.name for part in recipe.game.regularizers] == ["r1", "lecam", "orthogonal"]
    judged = read_recipe("dcgan", ["evaluator.metrics+=ct"]).evaluator
    assert [part.name for part in judged.metrics] == ["usual", "ct"]  # none means the usual ones
    assert judged == read_recipe("dcgan", ["metrics=usual+ct"]).evaluator
    assert settings.from_toml(Recipe, str(recipe)) == recipe
    for word, fault in {
        "regularizers-=r3": "game.regularizers has no 'r3' to take away; there is: r1, r2",
        "batch+=2": "batch+=2: batch is not a list of parts; write batch=2",
        "widths+=8": "there is no field 'widths'",
        "regularizers+=r9": "there is no regularizer 'r9'",
    }.items():
        with pytest.raises(RecipeError, match=re.escape(fault)):
            read_recipe("rpgan", [word])


def test_members_of_a_list_are_called_by_name():
    recipe = read_recipe("rpgan", ["regularizers.r1.gamma=3"])
    assert recipe.game.regularizers[0].gamma == 3.0
    assert recipe.game.regularizers[1] == rpgan().game.regularizers[1]
    assert read_recipe("rpgan", ["regularizers=none"]).game.regularizers == ()


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("sice=64", "there is no field 'sice'; did you mean 'size'?"),
        ("generator.hidden=9", "there is no field 'generator.hidden'; there is: generator."),  # of which eps is none
        ("discriminator.lrr=1", "there is no field 'discriminator.lrr'; did you mean 'discriminator.lr'?"),
        ("genrator.optimzer=adam", "there is no field 'genrator.optimzer'; did you mean 'generator.optimizer'?"),
        ("discriminater.lr=1", "there is no field 'discriminater.lr'; did you mean 'discriminator"),
        ("lr=1e-4", "'lr' may mean game.generator.optimizer.lr or game.discriminator.optimizer.lr; write which"),
        ("discriminator.lr=-1", "lr: -1.0 must be above 0"),
        ("objective=hing", "there is no objective 'hing'; did you mean 'hinge'?"),
        ("generator.network=resnet9", "there is no network 'resnet9'"),
        ("batch=0", "batch: 0 must be at least 1"),
        ("batch=ten", "batch: 'ten' is not a whole number"),
        ("game=image", "game is made of parts"),
        ("fit=squeeze", "'squeeze' is not allowed"),
        ("digits", "'digits' is not field=value"),
    ],
)
def test_faulty_words_are_explained(word, text):
    with pytest.raises(RecipeError) as raised:
        read_recipe("dcgan", [word])
    assert text in str(raised.value)


def test_all_faults_are_reported_together():
    with pytest.raises(RecipeError) as raised:
        read_recipe("dcgan", ["batch=0", "objective=hing", "sice=3", "discriminator.lr=x"])
    assert len(raised.value.faults) == 4


def test_differences_are_listed_by_path():
    changed = read_recipe("dcgan", ["discriminator.lr=1e-3", "batch=32"])
    assert settings.differences(dcgan(), dcgan()) == []
    first, second = settings.differences(dcgan(), changed)
    assert first == "batch: 64 -> 32"
    assert second.startswith("game.discriminator.optimizer: adam:lr=0.0002")
    assert "adam:lr=0.001" in second


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("batch = ", "not a TOML file"),
        ("batsh = 3", "there is no field 'batsh'; did you mean 'batch'?"),
        ("[game]\npart = 'imag'", "there is no game 'imag'; did you mean 'image'?"),
        ("batch = 'x'", "batch: 'x' is not a whole number"),
    ],
)
def test_a_faulty_file_is_explained(text, fault):
    with pytest.raises(RecipeError) as raised:
        settings.from_toml(Recipe, text)
    assert fault in str(raised.value)


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        (
            'objective = "non-saturating:real_target=1.0"',
            "objective = ['hinge']",
            "game: objective: ['hinge'] is not text; write the name of the objective",
        ),
        ('objective = "non-saturating:real_target=1.0"\n', "", "game: game 'image': objective is missing; there is: "),
        ("regularizers = []", "regularizers = 3", "game: regularizers: 3 is not a list of parts"),
        (
            "regularizers = []",
            "regularizers = [['r1']]",
            "game: regularizers: ['r1'] is not text; write the name of the regularizer",
        ),
        ('part = "image"', "part = ['image']", "game: its table must say which game it is, as part = ...; there is: "),
        (
            "[game.generator]",
            "[game.generater]",
            "game: game 'image' has no field 'generater'; did you mean 'generator'",
        ),
        (
            'part = "player"\nnetwork = "dcgan-g',
            'part = "player"\nx = "dcgan-g',
            "game: generator: player 'player' has no",
        ),
        ("batch = 64", "batch = [64]", "batch: [64] is not a whole number"),
        ("batch = 64", "batch = 99999999999999999999", "a whole number is beyond 9,007,199,254,740,992"),
        ("batch = 64", "batch = 1979-05-27", "batch: datetime.date(1979, 5, 27) is not a whole number"),
        ("batch = 64", f"batch = {'[' * 3000}", "not a TOML file: "),
        ("batch = 64", f"batch = {'[' * 90}{']' * 90}", "nested too deeply"),
        ("batch = 64", f"batch = {'9' * 5000}", "not a TOML file: Exceeds the limit"),
        ('recipe = "dcgan"', 'recipe = "\\u0000"', "recipe: '\\x00' has characters that cannot be printed"),
        ('length = "200k"', "length = [1]", "length: [1] is not a length"),
    ],
)
def test_every_entry_of_a_file_is_held_against_its_field(before, after, fault):
    text = settings.to_toml(dcgan())
    assert before in text
    with pytest.raises(RecipeError) as raised:
        settings.from_toml(Recipe, text.replace(before, after, 1))
    assert fault in str(raised.value)


def test_a_file_may_be_written_by_hand():
    text = settings.to_toml(dcgan())
    text = text.replace('length = "200k"', "length = 5000").replace("regularizers = []", 'regularizers = "r1+r2"', 1)
    text = text.replace("batch = 64", 'batch = "32"')
    recipe = settings.from_toml(Recipe, text)
    assert (recipe.length, recipe.batch) == (Length(5000), 32)
    assert recipe.game.regularizers == (R1(), R2())


def test_a_recipe_with_a_name_beyond_16_bits_round_trips():
    recipe = dcgan().replace(recipe="\U0001f600")
    assert settings.from_toml(Recipe, settings.to_toml(recipe)) == recipe


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "is missing"),
        ("batch = 3".encode("utf-16"), "is not UTF-8 text (byte 0)"),
        (b"\xef\xbb\xbfbatch = 'x'", "batch: 'x' is not a whole number"),  # a byte order mark is no fault
        (b"batch = 3", "game is missing; there is: "),
    ],
)
def test_a_recipe_file_that_cannot_be_used_is_named(content, fault, tmp_path):
    path = tmp_path / "my.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError) as raised:
        read_recipe(str(path))
    assert fault in str(raised.value)
    assert str(path) in str(raised.value)


def test_settings_of_earlier_versions_are_read_with_a_note():
    with pytest.warns(ZerosumWarning, match="the setting judge is called evaluator now"):
        changed = read_recipe("dcgan", ["judge.count=77"])
    assert changed.evaluator.count == 77
    text = settings.to_toml(changed).replace("[evaluator]", "[judge]")
    with pytest.warns(ZerosumWarning, match="the setting judge is called evaluator now"):
        assert settings.from_toml(Recipe, text) == changed


def test_a_value_of_several_words_keeps_its_signs():
    assert settings._split("a.b += x=1") == ("a.b", "+", " x=1")
    assert settings._split("a-=x") == ("a", "-", "x")
    assert settings._split("a=b+c") == ("a", "", "b+c")


def test_every_part_of_a_recipe_is_walked_through():
    recipe = read_recipe("rpgan")
    names = [one.name for one in tree.walk(recipe)]
    assert {"image", "player", "adam", "r1", "r2"} <= set(names)
    assert names.count("player") == 2
    assert all(isinstance(one, registry.Part) for one in tree.walk(recipe))


def test_a_part_that_is_not_loaded_is_kept_as_text_where_that_is_allowed():
    text = settings.to_toml(read_recipe("dcgan", ["regularizers=r1"])).replace('"r1:', '"own:')
    with pytest.raises(RecipeError, match="there is no regularizer 'own'"):
        settings.from_toml(Recipe, text)
    (own,) = settings.from_toml(Recipe, text, partly=True).game.regularizers
    assert own.name == "own"
    assert str(own).startswith("own:gamma=10.0,")


def test_faults_below_a_list_name_their_place():
    with pytest.raises(RecipeError) as raised:
        read_recipe("rpgan", ["regularizers.r1.every=x", "regularizers=3+r1"])
    assert raised.value.faults == [
        f"there is no regularizer '3'; there is: {', '.join(registry.registered('regularizer'))}; "
        "a part of your own comes with --use FILE",
        "game.regularizers.r1.every: 'x' is not a whole number",
    ]


def test_children_are_the_parts_that_a_part_holds():
    player = read_recipe("mlp").game.generator
    assert [name for name, _ in tree.children(player)] == [
        "network", "optimizer", "schedule", "initialization", "average", "rules",
    ]  # fmt: skip
    assert tree.children(player.optimizer) == []
