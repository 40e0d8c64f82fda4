"""The variational auto-encoder: its loss and gradients by hand, what it refuses, and how it trains."""

import math

import numpy as np
import pytest
import torch

import zerosum
from tests.small import table, trained, words
from zerosum.core import compatibility
from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError
from zerosum.networks.space import Space
from zerosum.recipes import read_recipe
from zerosum.runs.evaluation.evaluate import evaluate
from zerosum.runs.storage.saved import save_model

POINTS = Space((3,), 2)


class Fixed:
    """A feed of one batch."""

    position = 0

    def __init__(self, **batch):
        self.batch = batch

    def next(self):
        self.position += len(self.batch["sample"])
        return dict(self.batch)


def linear(engine, name):
    """Weights and biases of a network, float64, in order."""
    return [p.detach().numpy().astype(np.float64) for p in engine.network(name).parameters()]


def plain(*settings):
    """An engine whose encoder and decoder are one linear layer each."""
    game = read_recipe("vae", ["likelihood=gaussian", "latent=normal:size=2", *settings]).game
    game = game.replace(
        encoder=game.encoder.replace(network=game.encoder.network.replace(widths=())),
        decoder=game.decoder.replace(network=game.decoder.network.replace(widths=())),
    )
    return Engine(game, POINTS.signals, total=1000)


def drawn(count):
    """The noise that a turn at clock 0 draws."""
    engine = plain()
    found = []
    draw = engine.draw
    engine.draw = lambda prior, n: found.append(draw(prior, n)) or found[-1]
    engine.turn(Fixed(sample=torch.zeros(count, 3)))
    return found[0].numpy().astype(np.float64)


def test_the_loss_is_minus_the_evidence_lower_bound_by_hand():
    engine = plain("deviation=0.5", "beta=3")
    x = np.random.default_rng(0).normal(size=(4, 3))
    (A, a), (B, b) = linear(engine, "encoder"), linear(engine, "decoder")
    engine.turn(Fixed(sample=torch.from_numpy(x).float()))
    mean, log_var = np.split(x @ A.T + a, 2, axis=1)
    z = mean + np.exp(log_var / 2) * drawn(4)
    rebuilt = z @ B.T + b
    surprise = (((x - rebuilt) / 0.5) ** 2 / 2).sum(1).mean() + 3 * math.log(0.5 * math.sqrt(2 * math.pi))
    rate = (np.exp(log_var) + mean**2 - 1 - log_var).sum(1).mean() / 2
    found = engine.meter.take("report")
    for player in ("encoder", "decoder"):
        assert found[f"{player}.distortion"] == pytest.approx(surprise, rel=1e-5)
        assert found[f"{player}.rate"] == pytest.approx(3 * rate, rel=1e-5)
    assert found["elbo"] == pytest.approx(-surprise - rate, rel=1e-5)


def test_white_pixels_have_the_probability_that_the_decoder_says():
    game = read_recipe("vae").game
    x, p = np.array([[-1.0, 1.0, 0.0]]), np.array([[0.2, 0.9, 0.5]])
    white = (x + 1) / 2
    expected = -(white * np.log(p) + (1 - white) * np.log(1 - p)).sum()
    found = game.surprise(torch.from_numpy(2 * p - 1), torch.from_numpy(x))
    assert found.item() == pytest.approx(expected)
    assert math.isfinite(game.surprise(torch.tensor([[1.0]]), torch.tensor([[-1.0]])).item())  # saturated


def test_both_players_follow_the_gradient_of_one_loss():
    engine, before = plain(), plain()
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    engine.turn(Fixed(sample=x))
    E, D = before.networks("encoder", "decoder")
    mean, log_var = E(x, None).chunk(2, dim=1)
    z = mean + (log_var / 2).exp() * torch.from_numpy(drawn(4)).float()
    loss = engine.game.surprise(D(z, None), x) + (mean.square() + log_var.exp() - 1 - log_var).sum(1).mean() / 2
    for name, network in (("encoder", E), ("decoder", D)):
        gradients = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
        for weight, gradient in zip(engine.learners[name].parameters, gradients, strict=True):
            torch.testing.assert_close(weight.grad, gradient)


def test_what_does_not_fit_is_said():
    def faults(space, *settings):
        with pytest.raises(RecipeError) as raised:
            compatibility.check(read_recipe("vae", list(settings)).game, space.signals, 1000, 16)
        return raised.value.faults

    (fault,) = faults(Space((3,), 20))
    assert fault == "likelihood=bernoulli is for images, and these are points; set likelihood=gaussian"
    (fault,) = faults(Space((1, 8, 8), 100), "latent=uniform")
    assert fault.startswith("game 'vae' measures the divergence from N(0, I), not from uniform")
    (fault,) = faults(Space((1, 8, 8), 20), "encoder.network=mlp-generator")
    assert "cannot serve as encoder" in fault
    compatibility.check(read_recipe("vae", ["likelihood=gaussian"]).game, Space((3,)).signals, 1000, 16)


def test_labels_reach_the_decoder():
    engine, feed = table("vae", "decoder.labels=concat")
    seen = []
    decoder = engine.network("decoder")
    decoder.register_forward_hook(lambda module, given, output: seen.append(given[1]))
    engine.turn(feed)
    assert seen[0].shape == (16,)


def test_it_trains_samples_and_is_judged_like_any_other(tmp_path):
    rare = ["report=800", "samples=1k", "evaluation=1k", "checkpoint=1k", "evaluator.count=40"]
    run = zerosum.train("digits", "vae", [*words("vae"), *rare], images=1_700, out=tmp_path / "run", quiet=True)
    assert run.sample(3).shape == (3, 1, 8, 8)
    assert {"elbo", "encoder.distortion", "decoder.rate"} <= run.metrics[-1].keys()
    assert {line["metric"] for line in run.evaluations} >= {"fd", "kid"}
    assert "loss_encoder: " in (run.path / "loss.txt").read_text()
    assert "discriminator" not in (run.path / "loss.txt").read_text()
    longer = zerosum.resume(run.path, images=3_300, quiet=True)
    assert longer.metrics[-1]["images"] > 1_700
    lines = (run.path / "loss.txt").read_text().splitlines()
    assert len(lines) == 2
    assert all(line.index("loss_encoder") < line.index("loss_decoder") for line in lines)  # also after a resume
    assert longer.model.verbs == ("generate", "encode", "reconstruct", "bound")
    x = torch.rand(5, 1, 8, 8) * 2 - 1
    z, again = longer.model.encode(x), longer.model.reconstruct(x)
    assert z.shape == (5, longer.recipe.game.latent.size)
    torch.testing.assert_close(longer.model({"latent": z})["sample"], again)


@pytest.mark.parametrize(("likelihood", "step"), [("bernoulli", 0.0), ("gaussian", math.log2(127.5))])
def test_the_bound_on_held_out_images_is_that_of_the_loss(likelihood, step):
    recipe = read_recipe("vae", [*words("vae"), f"likelihood={likelihood}"])
    signals = Space((1, 8, 8)).signals
    model, x = trained(recipe, signals), torch.rand(5, 1, 8, 8) * 2 - 1
    noise = torch.randn(5, 20)
    found = model.model.compute({"sample": x, "noise": noise}, "bound")
    mean, log_var = model.model.networks["encoder"](x).chunk(2, dim=1)
    rebuilt = model.decode(mean + (log_var / 2).exp() * noise, None)
    surprise = recipe.game.surprise(rebuilt, x)
    rate = (mean.square() + log_var.exp() - 1 - log_var).sum(1).mean() / 2
    assert found["distortion"].mean() == pytest.approx(surprise.item(), rel=1e-5)
    assert found["rate"].mean() == pytest.approx(rate.item(), rel=1e-5)
    assert found["bits"].mean() == pytest.approx((surprise + rate).item() / (64 * math.log(2)) + step, rel=1e-5)
    assert found["bits"].shape == (5,)


def test_evaluate_measures_the_bound_where_a_model_has_one(tmp_path):
    recipe = read_recipe("vae", words("vae"))
    save_model(tmp_path / "m.safetensors", trained(recipe, Space((1, 8, 8)).signals))
    results = evaluate(tmp_path / "m.safetensors", "digits", metrics="elbo", count=40, threads=1)
    found = {one.metric: one.value for one in results}
    assert found["elbo"] == pytest.approx(-found["distortion"] - found["rate"])
    assert found["bits-per-dimension"] == pytest.approx(-found["elbo"] / (64 * math.log(2)))
    save_model(tmp_path / "g.safetensors", trained(read_recipe("mlp", words("mlp")), Space((1, 8, 8)).signals))
    with pytest.raises(RecipeError, match="metric 'elbo' needs a model that bounds the likelihood of samples"):
        evaluate(tmp_path / "g.safetensors", "digits", metrics="elbo", count=40, threads=1)
