"""The benchmark that compares bits: equal twice, each change told by kind, name and turn, and nothing left unplayed."""

import copy
import json

import pytest

from benchmarks import identity
from benchmarks.identity_cases import Case
from benchmarks.identity_table import Table, every_case, small
from zerosum.core import registry, tree
from zerosum.objectives import NonSaturating
from zerosum.recipes import read_recipe

MLP = Case("mlp", "mlp")
SETTINGS = "augmentations=ada:pipeline=b regularizers=r1:every=16+lecam generator.schedule=cosine"
ADA = Case("ada", "mlp", tuple(SETTINGS.split()))


@pytest.fixture(scope="module")
def results():
    return {case.name: identity.play(case, 4) for case in (MLP, ADA)}


def judged(before, after, expected=()):
    return identity.verdict("mlp", before, after, list(expected))


def test_what_is_seldom_late_or_slow_acts_within_four_turns(results):
    assert results["ada"]["faults"] == []
    record = results["ada"]["record"]
    assert [bool(value) for value in record["losses"]["discriminator.r1"]] == [False, True, False, True, False]
    assert float(record["losses"]["discriminator.lecam"][3]) > 0
    assert len(set(record["memory"]["ada.p"])) > 1
    assert len(set(record["random"]["cpu"])) == 5
    last = {kind: {name: row[-1] for name, row in rows.items()} for kind, rows in record.items()}
    name = "generator.body.1.weight"
    assert last["average"][name] not in (last["weights"][name], record["average"][name][0])
    assert last["clock"]["position"] == "32"
    assert record["product"]["samples"][:-1] == [""] * 4


def test_two_plays_are_equal_and_a_file_keeps_them(results, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(identity, "git", lambda *words: "abc123")
    file = tmp_path / "identity.json"
    assert identity.main(["--out", str(file), "--cases", "mlp"]) == 0
    recorded = json.loads(file.read_text())
    assert judged(recorded["cases"]["mlp"], results["mlp"]) == ("equal", [])
    assert identity.main(["--against", str(file), "--cases", "mlp"]) == 0
    assert "against abc123: 1 equal, 0 names differ, 0 as expected, 0 DIFFERENT" in capsys.readouterr().out


def test_a_changed_objective_is_caught_and_located(results, monkeypatch):
    paid = NonSaturating.generator
    monkeypatch.setattr(
        NonSaturating, "generator", lambda self, fake, real=None: paid(self, fake) + 0.01 * (fake**2).mean()
    )
    after = identity.play(MLP, 4)
    found = identity.compare(results["mlp"]["record"], after["record"])
    assert found[0][:3] == (1, "losses", "generator.adversarial")
    assert not [one for one in found if one.turn == 0]
    assert {one.name.split(".")[0] for one in found if one.turn == 1 and one.kind == "weights"} == {"generator"}
    assert {one.name.split(".")[0] for one in found if one.turn == 2 and one.kind == "weights"} >= {"discriminator"}
    verdict, lines = judged(results["mlp"], after)
    assert verdict == "DIFFERENT"
    assert "first losses generator.adversarial after turn 1 (0." in lines[0]
    everything = {"case": "ml*", "kind": "*", "name": "*", "reason": "it was too small"}
    verdict, lines = judged(results["mlp"], after, [everything])
    assert verdict == "as expected"
    assert all(line.startswith("expected: it was too small: ") for line in lines)
    assert judged(results["mlp"], after, [everything | {"kind": "losses"}])[0] == "DIFFERENT"


def test_new_names_of_old_values_are_told_and_are_no_difference(results):
    before, after = results["mlp"], copy.deepcopy(results["mlp"])
    weights = after["record"]["weights"]
    after["record"]["weights"] = weights = {f"networks.{name}": row for name, row in weights.items()}
    verdict, (line,) = judged(before, after)
    assert verdict == "names differ"
    assert line.startswith(f"names differ, values equal: {len(weights)} of weights, as discriminator.")
    weights["networks.generator.body.1.weight"][3] = "[16, 100] float32 0"
    verdict, lines = judged(before, after)
    assert verdict == "DIFFERENT"
    assert "2 of" in lines[0]  # one is gone, another has come
    assert "first weights generator.body.1.weight at the start" in lines[0]


def test_exchanged_values_under_the_same_names_are_a_difference(results):
    before, after = results["mlp"], copy.deepcopy(results["mlp"])
    rows = after["record"]["losses"]
    rows["real_logit"], rows["fake_logit"] = rows["fake_logit"], rows["real_logit"]
    assert judged(before, after)[0] == "DIFFERENT"


def test_what_a_resumed_engine_forgot_is_a_fault(monkeypatch):
    load = Table.load

    def forgetful(self, saved):
        tensors, numbers = saved
        load(self, ({**tensors, "memory.ada": {}}, numbers))

    monkeypatch.setattr(Table, "load", forgetful)
    result = identity.play(ADA, 4)
    (fault,) = result["faults"]
    assert fault.startswith("resumed after turn 2, ")
    assert "values differ: first losses ada.p after turn 3 (0." in fault
    assert judged(result, result)[0] == "DIFFERENT"


def test_other_machines_unknown_cases_and_broken_ones_do_not_pass(results, tmp_path, capsys, monkeypatch):
    file, here = tmp_path / "identity.json", identity.place()
    whole = {"commit": "abc", "place": here | {"torch": "1.0"}, "turns": 4, "cases": {"mlp": results["mlp"]}}
    file.write_text(json.dumps(whole))
    with pytest.raises(SystemExit, match="2"):
        identity.main(["--against", str(file)])
    assert f"is of another place (torch 1.0 there, {here['torch']} here), where bits may" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        identity.main(["--against", str(file), "--cases", "mpl"])
    assert "--cases: none is called mpl" in capsys.readouterr().err
    broken = identity.play(Case("broken", "mlp", ("generator.network=nothing",)), 2)
    assert "RecipeError: there is no network" in broken["faults"][0]
    assert judged(results["mlp"], broken)[0] == "DIFFERENT"
    file.write_text(json.dumps({**whole, "place": here, "cases": {"gone": results["mlp"]}}))
    assert identity.main(["--against", str(file), "--cases", "gone", "dirac"]) == 1
    told = capsys.readouterr().out
    assert "not here any more: gone" in told
    assert "not in the recording: dirac" in told


def test_every_part_of_a_game_is_played_by_some_case():
    games = [small(read_recipe(case.recipe, list(case.settings))).game for case in every_case()]
    played = {(part.kind, part.name) for game in games for part in tree.walk(game)}
    kinds = "game objective regularizer augmentation selection rule optimizer schedule latent initialization network"
    parts = {(kind, name) for kind in kinds.split() for name, part in registry.registered(kind).items()
             if part.__module__.startswith("zerosum.")}  # fmt: skip
    assert parts - played == set()
    names = [case.name for case in every_case()]
    assert len(names) == len(set(names)) >= 90
