"""What does not fit is refused before the first image, all of it together."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from tests.small import words
from zerosum.core import compatibility, registry, settings
from zerosum.core.errors import RecipeError, TrainingError
from zerosum.core.registry import Part
from zerosum.core.signals import Signal, Wiring
from zerosum.data import Feed, open_data
from zerosum.games.image import ImageGame
from zerosum.networks.space import Space
from zerosum.recipes import read_recipe
from zerosum.regularizers import R1
from zerosum.runs.view.media import many

DIGITS = Space((1, 8, 8), 0, 10).signals


def small(name, *changed):
    """A small game of a recipe, with settings changed."""
    return settings.assign(read_recipe(name, words(name)), list(changed)).game


def refused(name, *changed, space=DIGITS, total=1000, **parts):
    game = small(name, *changed).replace(**parts)
    with pytest.raises(RecipeError) as raised:
        compatibility.check(game, space, total)
    return raised.value.faults


@dataclass(frozen=True)
class Made(Part):
    """A network that a user might write."""

    forward: Any = None
    kind = "network"
    name = "made"
    role: str = "generator"

    def traits(self):
        return frozenset({self.role})

    def build(self, inputs, outputs):
        space = Space.of(inputs, outputs)
        network = nn.Linear(space.latent or space.values, space.values)
        made = self.forward
        network.forward = lambda x, label=None: made(network, x)
        return network


def with_generator(forward):
    game = read_recipe("mlp", words("mlp")).game
    return {"generator": game.generator.replace(network=Made(forward))}


def with_discriminator(forward):
    game = read_recipe("mlp", words("mlp")).game
    return {"discriminator": game.discriminator.replace(network=Made(forward, "discriminator"))}


def test_what_fits_passes():
    for name in ("mlp", "dcgan", "wgan-gp", "rpgan"):
        assert compatibility.check(read_recipe(name).game, DIGITS, 1000) > 4 * 64  # a sample, at least


def test_so_many_samples_in_words():
    assert many(1270, Signal("points", (1,))) == "1,270 points of 1 dimension"
    assert many(2, Signal("image", (3, 8, 9))) == "2 x 8x9 images with 3 channels"


@pytest.mark.parametrize("penalty", ["r1", "r2", "gradient-penalty"])
def test_a_gradient_penalty_refuses_batch_norm_in_the_discriminator_only(penalty):
    (fault,) = refused("dcgan", f"regularizers={penalty}")
    assert f"{penalty!r} with 'batchnorm'" in fault
    assert "discriminator.norm=" in fault
    game = read_recipe("dcgan", [f"regularizers={penalty}", "discriminator.norm=layer"]).game
    compatibility.check(game, DIGITS, 1000)  # the generator may keep its batch norm


def test_all_problems_are_reported_together():
    faults = refused(
        "dcgan",
        "regularizers=r1+r2",
        "generator.network=dcgan-discriminator",
        "discriminator.schedule=linear:start=5k",
    )
    assert len(faults) == 4
    assert sum("batchnorm" in fault for fault in faults) == 2
    assert any("generator.network: 'dcgan-discriminator' cannot serve as generator" in fault for fault in faults)
    assert any("discriminator.schedule" in fault for fault in faults)


def test_a_regularizer_given_twice_is_refused():
    (fault,) = refused("rpgan", regularizers=(R1(gamma=1), R1(gamma=2)))
    assert fault == "regularizer 'r1' is given 2 times; give it once"


def test_networks_that_do_not_fit_the_data_are_refused():
    assert "30x30" in refused("dcgan", space=Space((1, 30, 30), 100).signals)[0]
    assert "points" in refused("dcgan", space=Space((2,), 100).signals)[0]
    conditional = "generator.labels=concat", "discriminator.labels=concat"
    for fault in refused("mlp", *conditional, space=Space((1, 8, 8), 9).signals):
        assert "labels=concat needs data with classes" in fault


def test_faults_of_a_users_network_are_explained():
    (fault,) = refused("mlp", **with_generator(lambda net, x: net.missing(x)))
    assert "the networks do not fit data of sample: image [1, 8, 8], label: label of 10: AttributeError" in fault
    (fault,) = refused("mlp", **with_generator(lambda net, x: x))
    assert "the generator makes [100] where the data are [1, 8, 8]" in fault
    (fault,) = refused("mlp", **with_discriminator(lambda net, x: x.mean()))
    assert "the discriminator gives logits [] for a batch of 2" in fault


def test_a_trial_turn_finds_what_shapes_do_not_show():
    def broken(net, x):
        if x.device.type == "meta":
            return torch.zeros(len(x), 1, 8, 8)
        raise ZeroDivisionError("only with real numbers")

    game = read_recipe("mlp", words("mlp")).game.replace(**with_generator(broken))
    compatibility.check(game, DIGITS, 1000)
    with pytest.raises(RecipeError, match=r"a trial turn on a few samples failed: ZeroDivisionError: only with real"):
        compatibility.trial(game, DIGITS, Feed(open_data("digits"), 2), 1000)


# ---------------------------------------------------------------------- classes


TOLD = "the generator is told a class and no discriminator asks for it, so nothing would tie samples to classes; set "
ASKED = "the discriminator asks for a class that the generator is not told; set "


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (["generator.labels=concat"], f"{TOLD}discriminator.labels=concat or embed or projection, or"),
        (["discriminator.labels=concat"], f"{ASKED}generator.labels=concat or embed or norm, or"),
        (["discriminator.labels=projection"], f"{ASKED}generator.labels=concat or embed or norm, or"),
        (
            ["discriminator.labels=classifier", "regularizers=auxiliary-classifier"],
            f"{ASKED}generator.labels=concat or embed or norm, or",
        ),
        (
            ["discriminator.network=resnet-discriminator:channels=8", "generator.labels=norm"],
            f"{TOLD}discriminator.labels=projection, or",
        ),
        (
            ["generator.network=began-generator:channels=8", "discriminator.labels=embed"],
            f"{ASKED}generator.network to one that can be told the class, or",
        ),
    ],
)
def test_classes_reach_both_players_or_neither(changed, fault):
    (found,) = refused("dcgan", *changed)
    other = "generator" if fault.startswith(TOLD) else "discriminator"
    assert found == f"{fault} {other}.labels=none"


def test_an_auto_encoder_asks_for_no_class():
    changed = "generator.network=dcgan-generator:channels=8", "generator.labels=concat"
    (fault,) = refused("began", *changed)
    assert fault == f"{TOLD}discriminator.network to one that can be told the class, or generator.labels=none"


@pytest.mark.parametrize(
    ("trait", "head", "without", "trainer"),
    [
        (
            "classifier",
            ["discriminator.labels=classifier", "generator.labels=concat"],
            "labels=none",
            "auxiliary-classifier",
        ),
        ("codes", ["discriminator.codes=12"], "codes=0", "mutual-information"),
    ],
)
def test_a_head_that_nothing_trains_is_refused(trait, head, without, trainer):
    (fault,) = refused("dcgan", *head)
    assert fault == (
        f"nothing trains the discriminator's second head ({trait}); add regularizers={trainer}, or set "
        f"discriminator.{without}"
    )


def test_a_trainer_without_its_head_is_refused():
    (fault,) = refused("dcgan", "regularizers=auxiliary-classifier")
    assert fault.startswith(
        "regularizer 'auxiliary-classifier' needs 'classifier': it trains the discriminator's class"
    )
    assert "set discriminator.labels=classifier" in fault


def test_the_code_of_the_latent_is_the_code_that_is_recovered():
    changed = "discriminator.codes=12", "regularizers=mutual-information:categories=10,continuous=2"
    wanted = "regularizer 'mutual-information' needs 'code of 10 categories and 2 numbers': that is what it takes for"
    for latent in ("normal:size=100", "infogan:categories=2,continuous=10", "infogan:categories=9,continuous=3"):
        (fault,) = refused("dcgan", *changed, f"latent={latent}")
        assert fault.startswith(wanted)
        assert "set latent=infogan:categories=10,continuous=2, or the sizes of this regularizer" in fault
    game = small("dcgan", *changed, "latent=infogan")
    compatibility.check(game, Space((1, 8, 8), game.latent.size).signals, 1000)


# ---------------------------------------------------------------------- packs


@pytest.mark.parametrize(
    ("trait", "changed"),
    [
        ("labels", ["generator.labels=concat", "discriminator.labels=concat"]),
        (
            "classifier",
            ["generator.labels=concat", "discriminator.labels=classifier", "regularizers=auxiliary-classifier"],
        ),
        ("codes", ["discriminator.codes=12", "latent=infogan", "regularizers=mutual-information"]),
        ("autoencoder", ["discriminator.network=began-discriminator:channels=8", "objective=ebgan"]),
    ],
)
def test_a_pack_has_one_logit_and_nothing_else_to_tell(trait, changed):
    (fault,) = refused("dcgan", *changed, "pack=3")
    assert fault == (
        f"pack=3 with {trait!r}: a pack gets one logit, and its samples differ in what this discriminator tells of "
        "each; set pack=1, or choose a discriminator without it"
    )


@pytest.mark.parametrize(("batch", "pack", "nearest"), [(10, 4, 8), (11, 4, 12), (1, 4, 4), (15, 2, 16)])
def test_a_batch_is_made_of_whole_packs(batch, pack, nearest):
    game = small("dcgan", f"pack={pack}")
    with pytest.raises(RecipeError) as raised:
        compatibility.check(game, DIGITS, 1000, batch)
    assert raised.value.faults == [f"batch={batch} cannot be divided into packs of {pack}; set batch={nearest}"]
    compatibility.check(game, DIGITS, 1000, nearest)
    compatibility.check(game, DIGITS, 1000)  # where no batch is known yet


# ---------------------------------------------------------------------- what a logit, a sample, a weight is


@pytest.mark.parametrize("augmentation", ["flip", "shift", "crop", "rotation", "scale", "diffaugment", "ada"])
def test_points_are_not_augmented(augmentation):
    changed = [] if augmentation != "ada" else ["objective=hinge"]
    (fault,) = refused("mixture", f"augmentations={augmentation}", *changed, space=Space((2,), 2).signals)
    why = "points have neither pixels nor colours to change; leave the game's augmentations empty"
    assert fault == f"augmentation {augmentation!r} needs 'images': {why}"


@pytest.mark.parametrize("objective", ["wasserstein", "relativistic", "relativistic-average", "least-squares"])
def test_what_reads_the_sign_of_a_logit_needs_a_zero_level(objective):
    (fault,) = refused("dcgan", f"objective={objective}", "regularizers=vat")
    assert fault == (
        "regularizer 'vat' needs 'zero-level': it reads logits as probabilities of being real, and this objective's "
        "logits have no zero; set objective=non-saturating, minimax or hinge, or take the regularizer alr instead"
    )
    (fault,) = refused("dcgan", f"objective={objective}", "augmentations=ada")
    assert fault.startswith("augmentation 'ada' needs 'zero-level': p follows the sign of logits, which must mean real")
    for way in ("signal=pairs", "control=fixed,p=0.2", "control=ramp,p=0.55"):
        assert f"ada:{way}" in fault
        game = small("dcgan", f"objective={objective}", f"augmentations=ada:{way}")
        compatibility.check(game, DIGITS, 1000)


@pytest.mark.parametrize("objective", ["minimax", "non-saturating", "hinge", "least-squares:real=1,fake=-1,goal=0"])
def test_a_zero_level_is_enough(objective):
    game = small("dcgan", f"objective={objective}", "regularizers=vat", "augmentations=ada")
    assert compatibility.check(game, DIGITS, 1000) > 0
    assert "zero-level" in game.objective.traits()


def test_a_regularizer_of_both_players_is_held_beside_both_networks():
    style = "generator.network=stylegan2-generator:channels=8,style=8,mapping=1"
    (fault,) = refused("dcgan", style, "regularizers=zcr")
    assert fault.startswith("regularizer 'zcr' with 'styles': it calls the generator twice and compares")
    (fault,) = refused("mlp", "regularizers=zcr", "discriminator.dropout=0.1")
    assert fault.startswith("regularizer 'zcr' with 'dropout': dropout differs between the two passes")
    assert "set discriminator.dropout=0" in fault


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_weights_are_not_clipped_where_they_are_normalised(player):
    network = f"{player}.network=resnet-{player}:channels=8,spectral=true"
    (fault,) = refused("dcgan", network, f"{player}.rules=clip")
    assert fault.startswith("rule 'clip' with 'spectral': spectral normalization divides every weight by its largest")
    assert "remove the rule, or set spectral=false" in fault
    other = {"generator": "discriminator", "discriminator": "generator"}[player]
    compatibility.check(small("dcgan", network, f"{other}.rules=clip"), DIGITS, 1000)


@pytest.mark.parametrize("player", ["generator", "discriminator", "both"])
def test_equalized_layers_have_no_filters_to_hold_at_right_angles(player):
    pay = f"regularizers=orthogonal:player={player}"
    styles = {
        "generator": "generator.network=stylegan2-generator:channels=8,style=8,mapping=1",
        "discriminator": "discriminator.network=stylegan2-discriminator:channels=8",
    }
    for seat, network in styles.items():
        if player in (seat, "both"):
            (fault,) = refused("dcgan", network, pay)
            assert fault.startswith("regularizer 'orthogonal' with 'equalized': it weighs the stored numbers of plain")
            assert "remove this regularizer, or choose a network without them" in fault
        else:
            compatibility.check(small("dcgan", network, pay), DIGITS, 1000)


@pytest.mark.parametrize("generator", ["acgan-generator:channels=16", "biggan-generator:channels=2"])
def test_a_mend_is_one_that_the_network_has(generator):
    (fault,) = refused("dcgan", f"generator.network={generator}", "regularizers=path-length")
    assert fault.endswith(
        "set generator.norm=none, layer or group, or a network without it: generator.network=r3gan-generator"
    )


# ---------------------------------------------------------------------- games


@pytest.mark.parametrize(
    ("network", "game", "shown"),
    [
        ("discriminator.network=joint-mlp-discriminator", "joint", "it judges a sample beside a latent"),
        ("discriminator.network=joint-dcgan-discriminator", "joint", "it judges a sample beside a latent"),
        ("discriminator.network=dagan-discriminator", "pairs", "it judges two images together"),
        ("generator.network=dagan-generator", "pairs", "it starts from real images"),
    ],
)
def test_networks_of_another_game_are_refused(network, game, shown):
    player, name = network.split(".network=")
    (fault,) = refused("dcgan", network)
    trait = "source" if player == "generator" else game
    assert fault.startswith(f"network {name!r} needs '{trait} game': {shown}, which only a game such as {game} ")
    assert "choose a recipe of that game, or set " in fault
    assert f"{player}.network=" in fault


def test_a_network_in_the_wrong_seat_is_told_the_right_ones():
    (fault,) = refused("dcgan", "generator.network=mlp-encoder")
    assert fault == (
        "generator.network: 'mlp-encoder' cannot serve as generator: its traits() do not name 'generator'; "
        "`zerosum ls network` has those that do, such as generator.network=acgan-generator"
    )


@pytest.mark.parametrize("regularizer", ["path-length", "successive-consistency"])
def test_a_generator_of_pairs_starts_from_the_images_of_its_move_alone(regularizer):
    changed = "generator.norm=none", f"regularizers={regularizer}"
    (fault,) = refused("dagan", *changed)
    assert fault.startswith(f"regularizer {regularizer!r} with 'source': it calls the generator for other samples than")
    assert "remove this regularizer" in fault


def test_places_belong_together_only_where_fakes_start_from_real_samples():
    place = "regularizers=content:reference=place"
    (fault,) = refused("dcgan", place)
    assert fault.startswith("regularizer 'content' needs 'source': fakes and real samples of one place belong together")
    assert "set content.reference=nearest" in fault
    compatibility.check(small("dcgan", place, "content.reference=nearest"), DIGITS, 1000)
    compatibility.check(small("dagan", place), DIGITS, 1000)


def test_a_balanced_objective_is_no_zero_sum():
    networks = [
        "generator.network=began-generator:channels=8",
        "discriminator.network=began-discriminator:channels=8,hidden=4",
    ]
    changed = [*networks, "objective=began", "latent=normal:size=100"]
    space = Space((1, 8, 8)).signals
    (fault,) = refused("unrolled", *changed, "zero_sum=true", space=space)
    assert fault == (
        "objective 'began' with zero_sum=true: what it remembers weighs the discriminator's loss alone, so minus "
        "that is no loss of the generator's; set zero_sum=false, or objective=minimax"
    )
    compatibility.check(small("unrolled", *changed, "zero_sum=false"), space, 1000)


def test_a_trial_turn_names_the_part_that_raised():
    class Broken(R1):
        def __call__(self, *given):
            raise ZeroDivisionError("not today")

    game = read_recipe("mlp", words("mlp")).game.replace(regularizers=(Broken(),))
    with pytest.raises(RecipeError) as raised:
        compatibility.trial(game, DIGITS, Feed(open_data("digits"), 2), 1000)
    what = r"ZeroDivisionError: not today \(raised by regularizer 'r1' in .*test_compatibility.py, line \d+\)"
    assert re.fullmatch(f"a trial turn on a few samples failed: {what}", str(raised.value))


def test_a_trial_turn_refuses_a_loss_that_is_not_one_number():
    class Unreduced(R1):
        def __call__(self, exchange):
            return exchange.real.logits.square()

    game = read_recipe("mlp", words("mlp")).game.replace(regularizers=(Unreduced(),))
    expected = r"the loss 'r1' of the discriminator has the shape \[2\]; reduce it to one number, as \.mean\(\) does"
    with pytest.raises(RecipeError, match=expected):
        compatibility.trial(game, DIGITS, Feed(open_data("digits"), 2), 1000)


def test_a_trial_turn_refuses_a_game_that_moves_nobody():
    class Idle(ImageGame):
        def step(self, feed, engine):
            feed.next()

    game = read_recipe("mlp", words("mlp")).game
    idle = Idle(**{name: getattr(game, name) for name in registry.field_types(type(game))})
    with pytest.raises(RecipeError, match=r"its step moves no player; each is moved by engine\.update"):
        compatibility.trial(idle, DIGITS, Feed(open_data("digits"), 2), 1000)


def test_the_trial_turn_is_played_in_the_precision_of_the_training():
    def narrow(net, x):
        weight = net.weight[:1, :].T.contiguous()
        made = (x.flatten(1)[:, :1] @ weight[:1]).float().expand(-1, 64).unflatten(1, (1, 8, 8))
        if torch.is_autocast_enabled("cpu"):
            raise ArithmeticError("not in bf16")
        return made + net.bias.view(1, 1, 8, 8)

    game = read_recipe("mlp", words("mlp")).game.replace(**with_generator(narrow))
    compatibility.trial(game, DIGITS, Feed(open_data("digits"), 2), 1000, precision="fp32")
    with pytest.raises(RecipeError, match=r"a trial turn on a few samples failed: ArithmeticError: not in bf16"):
        compatibility.trial(game, DIGITS, Feed(open_data("digits"), 2), 1000, precision="bf16")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), MemoryError),
        (RuntimeError("CUDA out of memory"), RuntimeError),
        (TrainingError("stopped"), TrainingError),
        (ValueError("odd"), RecipeError),
    ],
)
def test_what_is_no_fault_of_the_recipe_is_raised_as_it_is(error, kind):
    with pytest.raises(kind) as raised, compatibility.blaming(read_recipe("mlp").game):
        raise error
    assert (raised.value is error) == (kind is not RecipeError)


def test_a_part_of_the_package_is_blamed_without_a_place_in_it():
    game = small("mlp", "regularizers=r1")
    with pytest.raises(AttributeError) as raised:
        game.regularizers[0](None)
    assert compatibility.culprit(raised.value, game) == " (raised by regularizer 'r1')"
    with pytest.raises(AttributeError) as raised:
        None.real  # noqa: B018
    assert compatibility.culprit(raised.value, game) == ""


def test_a_schedule_may_depend_on_the_length():
    assert not compatibility.depends_on_length(small("mlp"))
    assert compatibility.depends_on_length(small("mlp", "discriminator.schedule=linear"))


def test_a_role_that_no_network_can_take_names_none():
    class Oracle(ImageGame):
        roles: ClassVar = {"generator": frozenset({"oracle"})}

    game = small("mlp")
    oracle = Oracle(**{name: getattr(game, name) for name in registry.field_types(ImageGame)})
    (fault,) = compatibility.misplaced(oracle, DIGITS)
    assert fault.endswith("its traits() do not name 'oracle'; `zerosum ls network` has those that do")
    oracle.roles["generator"] = frozenset({"encoder"})
    assert ", such as generator.network=" in compatibility.misplaced(oracle, DIGITS)[0]


def test_data_bring_their_kinds_and_networks_are_called_with_two_items_of_the_largest():
    signals = {"a": Signal("image", (1, 8, 8)), "b": Signal("points", (2,))}
    assert compatibility.data_traits(signals) == {"images", "points"}
    wirings = {"a": Wiring({}, {}, ("a",)), "b": Wiring({}, {}, ("b",), 3)}
    assert compatibility._count(wirings) == 6


def test_networks_fit_some_data_and_not_others():
    assert compatibility.wires(small("mlp"), DIGITS)
    assert not compatibility.wires(small("dcgan"), {"sample": Signal("points", (2,))})


def test_a_schedule_that_begins_after_the_end_is_refused():
    for schedule in ("linear", "cosine"):
        (fault,) = refused("mlp", f"discriminator.schedule={schedule}:start=2000", total=1000)
        assert fault.startswith("discriminator.schedule: ")
        compatibility.check(small("mlp", f"discriminator.schedule={schedule}:start=2000"), DIGITS, 3000)
