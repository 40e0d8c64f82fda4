"""Numbers that are not finite: nothing moves, and a run may go back, but not for ever."""

import pytest
import torch

import zerosum
from tests.small import EAGER, table, words
from zerosum.core.engine import Engine
from zerosum.core.errors import RunError, TrainingError
from zerosum.core.meter import NotFiniteError
from zerosum.runs import health
from zerosum.runs.storage import checkpoint
from zerosum.runs.storage.logs import TIMES


def short(path, *settings, images=480, **options):
    options = {"quiet": True} | options
    return zerosum.train("digits", "mlp", [*words("mlp"), *EAGER, *settings], images=images, out=path, **options)


def contents(run):
    last = run.path / "checkpoints" / (run.path / "latest").read_text().strip()
    found = {path.name: path.read_bytes() for path in last.glob("*.safetensors")}
    found["metrics"] = [{k: v for k, v in line.items() if k not in TIMES} for line in run.metrics]
    found["loss"] = (run.path / "loss.txt").read_text()
    return found | {path.name: path.read_bytes() for path in (run.path / "samples").glob("*.png")}


def poison(monkeypatch, when, what="weights"):
    """Put a NaN into a training in each turn for which `when(images, attempt)` holds."""
    step, hit = Engine.turn, []

    def turn(engine, feed):
        handles = []
        if when(feed.position, engine.attempt) and engine.total and engine.total > 100:
            hit.append((feed.position, engine.attempt))
            if what == "weights":
                with torch.no_grad():
                    engine.learners["discriminator"].parameters[0].view(-1)[3] = float("nan")
            else:
                handles.append(
                    engine.learners[what].parameters[0].register_hook(lambda gradient: gradient * float("nan"))
                )
        try:
            step(engine, feed)
        finally:
            for handle in handles:
                handle.remove()

    monkeypatch.setattr(Engine, "turn", turn)
    return hit


# ---------------------------------------------------------------------- before the weights change


def weights(engine):
    kinds = "weights", "average", "optimizer"
    return {
        f"{group}.{key}": value.clone()
        for group, tensors in engine.state()[0].items()
        if group.rpartition(".")[2] in kinds
        for key, value in tensors.items()
    }


@pytest.mark.parametrize("player", ["discriminator", "generator"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_stops_before_the_weights_change(player, bad):
    engine, feed = table("mlp")
    engine.turn(feed)
    before = weights(engine)
    seat = engine.learners[player]
    seat.parameters[1].register_hook(lambda gradient: gradient.clone().index_fill_(0, torch.tensor(2), bad))
    loss = seat.parameters[1].square().sum()
    with pytest.raises(
        NotFiniteError, match=rf"the gradient of the {player} is not finite .*adversarial .*gradient (nan|inf)"
    ):
        engine.update(player, adversarial=loss)
    after = weights(engine)
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert not engine.meter.knows("nothing")


def test_the_norm_of_a_gradient_is_that_of_all_tensors_together():
    engine, feed = table("mlp")
    engine.turn(feed)
    engine.meter.take("report")
    engine.update("generator", a=sum((3.0 * one).sum() for one in engine.learners["generator"].parameters))
    count = sum(one.numel() for one in engine.learners["generator"].parameters)
    assert engine.meter.take("report")["generator_gradient"] == pytest.approx(3.0 * count**0.5, rel=1e-6)


def test_weights_that_are_not_finite_give_no_samples():
    engine, feed = table("mlp")
    engine.turn(feed)
    with torch.no_grad():
        engine.averages["generator"].get_parameter(
            next(name for name, _ in engine.network("generator").named_parameters())
        ).view(-1)[0] = float("nan")
    with pytest.raises(NotFiniteError, match="weights of the generator are not finite after 16 samples"):
        engine.model()


def test_the_ledger_knows_and_gives_what_is_finite():
    engine, feed = table("mlp")
    assert not engine.meter.knows("generator_step")
    engine.turn(feed)
    assert engine.meter.knows("generator_step")
    engine.meter.watch(bad=torch.tensor(float("nan")))
    found = engine.meter.finite()
    assert "bad" not in found
    assert "generator" not in found  # of the epoch
    assert found["generator.adversarial"] > 0
    assert engine.meter.has("report")


# ---------------------------------------------------------------------- stop


def test_without_a_word_a_nan_stops_and_the_doctor_knows(tmp_path, monkeypatch):
    poison(monkeypatch, lambda images, _: images >= 240)
    with pytest.raises(TrainingError, match=r"loss of the discriminator is not finite after 240 samples") as caught:
        short(tmp_path / "run")
    assert caught.value.__notes__ == [
        f"saved: everything up to 192 images; go on with: zerosum resume {tmp_path / 'run'}",
        f"report: {tmp_path / 'run' / 'report.html'}",
    ]
    assert "loss of the discriminator is not finite after 240 samples" in (tmp_path / "run" / "report.html").read_text()
    assert (tmp_path / "run" / "latest").read_text() == "000000192\n"
    found = health.diagnose(tmp_path / "run")
    assert found[0].name == "not-finite"
    assert "the loss of the discriminator is not finite after 240 samples" in found[0].seen
    line = health.read_history(tmp_path / "run").reports[-1]
    assert line["images"] == 256  # drawn, though no weight has moved
    assert line["generator.adversarial"] > 0  # what was finite since the last report


def test_a_stopped_run_goes_on_by_rollback_when_it_is_told_so(tmp_path, monkeypatch):
    poison(monkeypatch, lambda images, attempt: images == 240 and attempt == 0)
    with pytest.raises(TrainingError):
        short(tmp_path / "run")
    with pytest.raises(TrainingError):
        zerosum.resume(tmp_path / "run", quiet=True)
    run = zerosum.resume(tmp_path / "run", ["on_nan=rollback"], quiet=True)
    assert run.finished
    assert [line["rollback"] for line in run.metrics if "rollback" in line] == [1]


# ---------------------------------------------------------------------- roll back


@pytest.mark.parametrize("what", ["weights", "discriminator", "generator"])
def test_a_nan_that_comes_once_is_survived(tmp_path, monkeypatch, what, capfd):
    peace = short(tmp_path / "peace")
    hit = poison(monkeypatch, lambda images, attempt: images == 240 and attempt == 0, what)
    run = short(tmp_path / "run", "on_nan=rollback", quiet=False)
    assert run.finished
    assert hit == [(240, 0)]
    events = [line for line in run.metrics if "rollback" in line]
    assert [(line["images"], line["rollback"]) for line in events] == [(192, 1)]
    assert "is not finite after 240 samples" in events[0]["not_finite"]
    said = " ".join(capfd.readouterr().err.split())
    assert "back to 192 images, rollback 1 of 3" in said
    clocks = [line["images"] for line in run.metrics if "images_per_second" in line]
    assert clocks == [96, 192, 288, 384, 480]  # no line twice, none lost
    manifest = checkpoint.load(run.path / "checkpoints" / "000000480").manifest
    assert manifest["attempt"] == 1
    assert contents(run)["generator.weights.safetensors"] != contents(peace)["generator.weights.safetensors"]
    assert health.diagnose(run.path)[0].name == "not-finite"


def test_the_second_attempt_has_other_random_numbers_and_the_same_images(tmp_path):
    drawn = []
    for attempt in (0, 1, 2, 1):
        engine, feed = table("mlp")
        engine.attempt = attempt
        draw = feed.next
        feed.next = lambda draw=draw: drawn.append(draw()) or drawn[-1]
        engine.turn(feed)
        drawn[-1] = (drawn[-1]["sample"], engine.network("generator")(torch.randn(4, 100)).detach())
    assert all(torch.equal(one[0], drawn[0][0]) for one in drawn)
    assert not torch.equal(drawn[0][1], drawn[1][1])
    assert not torch.equal(drawn[1][1], drawn[2][1])
    assert torch.equal(drawn[1][1], drawn[3][1])


def test_a_nan_that_always_comes_back_stops_after_three_rollbacks(tmp_path, monkeypatch):
    hit = poison(monkeypatch, lambda images, _: images == 240)
    with pytest.raises(
        TrainingError, match=r"not finite after 240 .* It came back after 3 rollbacks, so this is no acc"
    ):
        short(tmp_path / "run", "on_nan=rollback")
    assert hit == [(240, attempt) for attempt in (0, 1, 2, 3)]
    reports = health.read_history(tmp_path / "run").reports
    assert [line.get("rollback", "end") for line in reports if "not_finite" in line][-1] == "end"
    hit.clear()
    with pytest.raises(TrainingError):  # nor may a resume begin to count anew for ever
        zerosum.resume(tmp_path / "run", quiet=True)
    assert len(hit) <= 4


def test_three_rollbacks_are_all_that_a_run_has_wherever_they_come(tmp_path, monkeypatch):
    places = {0: 112, 1: 208, 2: 304, 3: 400}
    hit = poison(monkeypatch, lambda images, attempt: images == places[attempt])
    with pytest.raises(TrainingError, match=r"after 400 samples.* after 3 rollbacks"):
        short(tmp_path / "run", "on_nan=rollback")
    assert hit == [(place, attempt) for attempt, place in places.items()]
    hit.clear()
    with pytest.raises(TrainingError, match="after 3 rollbacks"):
        zerosum.resume(tmp_path / "run", quiet=True)
    assert hit == [(400, 3)]  # the checkpoint remembers


def test_before_the_first_checkpoint_a_run_begins_again(tmp_path, monkeypatch):
    poison(monkeypatch, lambda images, attempt: images == 80 and attempt == 0)
    run = short(tmp_path / "run", "on_nan=rollback", "report=32")
    assert run.finished
    assert [line["images"] for line in run.metrics] == [*range(0, 481, 32)]  # the first one is the event
    assert [(line["images"], line["rollback"]) for line in run.metrics if "rollback" in line] == [(0, 1)]
    assert run.metrics[0]["images"] == 0


@pytest.mark.parametrize("killed", [224, 352])
def test_a_run_that_rolled_back_and_was_killed_ends_like_one_that_was_not(tmp_path, monkeypatch, killed):
    poison(monkeypatch, lambda images, attempt: images == 240 and attempt == 0)
    peace = short(tmp_path / "peace", "on_nan=rollback")
    turn, done = Engine.turn, []

    def die(engine, feed):
        turn(engine, feed)
        if feed.position == killed and engine.attempt == 1 and not done:
            done.append(1)
            raise ConnectionError("killed")

    monkeypatch.setattr(Engine, "turn", die)
    with pytest.raises(RunError, match="killed"):
        short(tmp_path / "war", "on_nan=rollback")
    war = zerosum.resume(tmp_path / "war", quiet=True)
    expected, found = contents(peace), contents(war)
    assert expected.keys() == found.keys()
    assert [key for key in expected if expected[key] != found[key]] == []


def test_weights_that_overflow_at_a_checkpoint_roll_back_too(tmp_path, monkeypatch):
    settle, done = Engine.turn, []

    def turn(engine, feed):
        settle(engine, feed)
        if feed.position == 288 and not done:
            done.append(1)
            with torch.no_grad():
                engine.learners["discriminator"].parameters[0].view(-1)[0] = float("inf")

    monkeypatch.setattr(Engine, "turn", turn)
    run = short(tmp_path / "run", "on_nan=rollback")
    assert run.finished
    assert "is not finite, so nothing was saved" in next(x["not_finite"] for x in run.metrics if "rollback" in x)
