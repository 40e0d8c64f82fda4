"""Whatever is put together trains, or is refused before the first image with what, why and how to mend.

CI walks every two values of the product's axes together, every single choice of every part, and every cell of the
matrix of what is refused. `python -m benchmarks.product` walks further.
"""

import functools
import json
import re
import warnings

import pytest

from benchmarks import product as benchmark
from tests.axes import ABSENT, PLAYERS, axes, judged, registered, seats
from tests.mends import mended
from tests.product import Product, Refusal, game, idle, play, space
from zerosum.core import registry
from zerosum.core.engine import Engine
from zerosum.core.errors import ZerosumError

SHARDS = 4
OTHERS = {  # compose no step
    *("player", "recipe", "data", "preparation", "average", "schedule", "metric", "extractor", "evaluator", "pool"),
    "pairing",
}
ELSEWHERE = {"resnet-translator", "stargan-translator", "unet-translator"}  # networks of games that are not walked


@functools.cache
def product():
    return Product()


@functools.cache
def pairs():
    return list(product().pairs())


@functools.cache
def singles():
    return list(Product(wide=True).singles())


def telling(row):
    """A row by what is not plain in it."""
    plain = product().complete({})
    return ", ".join(f"{axis}={value.partition(',')[0]}" for axis, value in row.items() if value != plain[axis])


def not_trained(rows):
    found = []
    for row in rows:
        try:
            outcome = play(row)
        except (
            AssertionError,
            ZerosumError,
            ValueError,
            RuntimeError,
            TypeError,
            AttributeError,
            LookupError,
        ) as error:
            found.append(f"{telling(row)}: {type(error).__name__}: {error}")
        else:
            found += [f"{telling(row)}: refused: {outcome.faults}"] if isinstance(outcome, Refusal) else []
    return found


@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_two_values_that_go_together_train(shard):
    rows = pairs()[shard::SHARDS]
    assert len(rows) > 50
    assert not any(product().holding(row) for row in rows)
    assert not_trained(rows) == []


def test_every_choice_of_every_part_trains_somewhere():
    listed = {(axis, value) for axis, found in axes(wide=True).items() for value in found}
    seen = {item for row in singles() for item in row.items()}
    assert listed - seen == set()
    assert not_trained(singles()) == []


@pytest.mark.parametrize(
    ("data", "likelihood"), [("digits", "bernoulli"), ("digits", "gaussian"), ("ring8", "gaussian")]
)
def test_every_encoder_trains_with_every_decoder(data, likelihood):
    rows = [
        row | {"game": f"vae:likelihood={likelihood}", "encoder": encoder}
        for decoder in seats("generator")
        for way in product().axes["generator.labels"]
        if (row := product().complete({"data": data, "generator": decoder, "generator.labels": way, "game": "image"}))
        for encoder in seats("encoder")
        if data == "digits" or encoder != "dcgan-encoder"
    ]
    assert rows
    assert not_trained(rows) == []


def test_every_cell_of_the_matrix_is_refused_for_its_own_reason_and_can_be_mended():
    wrong, good = [], set()
    for cell, row in product().refusals():
        assert {held.line for held in product().holding(row)} == {cell.line}
        outcome = play(row)
        if not isinstance(outcome, Refusal):
            wrong.append(f"{cell.line} trained: {telling(row)}")
            continue
        words = {word for line in cell.line for word in line.replace(":", " ").replace(".", " ").split()}
        about = words | {row[axis].partition(":")[0] for axis in cell.patterns}
        for fault in outcome.faults:
            key = fault, row["game"], row["generator"], row["discriminator"]
            if not any(word in fault for word in about):
                wrong.append(f"{cell.line} is not what this is about: {fault}")
            elif key not in good and not mended(game(row), row, fault):
                wrong.append(f"{telling(row)}: this does not mend it: {fault}")
            good.add(key)
    assert wrong == []


def test_no_weight_stays_idle():
    own = tuple(f"{player}." for player in PLAYERS)
    plain = product().complete({})
    rows = [row for row in singles() if any(row[axis] != plain[axis] for axis in row if axis.startswith(own))]
    told = [
        product().complete({player: name, f"{player}.labels": way})
        for player in PLAYERS
        for name in product().axes[player]
        for way in product().axes[f"{player}.labels"]
    ]
    rows += [row for row in told if row]
    assert len(rows) > 60
    found = {telling(row): idle(Engine(game(row), space(row), total=1000), row) for row in rows}
    assert {where: weights for where, weights in found.items() if weights} == {}


def test_every_part_has_its_place_on_an_axis():
    found = axes()
    for kind in set(registry.kinds()) - OTHERS:
        names = set(judged() if kind == "game" else registered(kind))
        places = {"network": [*PLAYERS, "encoder"], "rule": [f"{player}.rule" for player in PLAYERS]}.get(kind, [kind])
        listed = {value.partition(":")[0] for axis in places for value in found[axis]} - {"none", ABSENT}
        assert listed == names - ELSEWHERE, kind


def test_a_part_in_the_wrong_seat_is_refused_by_name():
    row = product().complete({})
    for seat in PLAYERS:
        for name in set(registered("network")) - set(product().axes[seat]):
            faults = play({**row, seat: name, f"{seat}.labels": ABSENT, f"{seat}.norm": ABSENT}).faults
            like = f"; `zerosum ls network` has those that do, such as {seat}.network=acgan-generator"
            like = like if seat == "generator" else like.replace("acgan-generator", "began-discriminator")
            assert f"{seat}.network: {name!r} cannot serve as {seat}: its traits() do not name {seat!r}{like}" in faults


def test_a_turn_that_moves_nobody_is_a_fault(monkeypatch):
    monkeypatch.setattr(Engine, "turn", lambda engine, feed: None)
    with pytest.raises(AssertionError, match="the discriminator did not move"):
        play(product().complete({}))


def test_a_refusal_that_mends_nothing_is_a_fault(monkeypatch):
    row = product().complete({"pack": "2"})
    row = {**row, "generator.labels": "concat", "discriminator.labels": "concat"}
    assert isinstance(play(row), Refusal)
    monkeypatch.setattr("zerosum.games.checks._packs", lambda game, batch: ["it does not fit"])
    with pytest.raises(AssertionError, match=r"no word of how to mend it: \['it does not fit'\]"):
        play(row)


def walked(monkeypatch, capsys, *words):
    monkeypatch.setattr("sys.argv", ["product", *words])
    with warnings.catch_warnings():
        benchmark.main()
    return capsys.readouterr().out


def test_the_benchmark_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    out = tmp_path / "product.jsonl"
    for limit in (2, 5, 5):
        said = walked(monkeypatch, capsys, "--stage", "singles", "--limit", str(limit), "--out", str(out))
    assert said.startswith("singles: trained 5, refused 0, faults 0 in ")
    assert [json.loads(line)["last"] for line in out.read_text().splitlines()] == [1, 4]
    said = walked(monkeypatch, capsys, "--stage", "body", "--limit", "8", "--shard", "1/2", "--out", str(out))
    (body,) = [line for line in said.splitlines() if line.startswith("body: ")]
    counts = [int(count) for count in re.findall(r"\d+", body)[:3]]
    assert sum(counts) == 4
    assert counts[2] == 0


def test_the_benchmark_calls_a_fault_what_the_matrix_does_not_say():
    row = product().complete({})
    assert benchmark.outcome(row, refused=False) == ("trained", [])
    assert benchmark.outcome(row, refused=True)[0] == "fault"
    row["pack"], row["discriminator.labels"], row["generator.labels"] = "2", "concat", "concat"
    assert benchmark.outcome(row, refused=True)[0] == "refused"
    happened, (why,) = benchmark.outcome(row, refused=False)
    assert happened == "fault"
    assert why.startswith("pack=2 with 'labels'")
    happened, (why,) = benchmark.outcome(row | {"objective": "no such thing"}, refused=False)
    assert happened == "fault"
    assert "there is no objective" in why
