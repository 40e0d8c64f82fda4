"""What a GPU does otherwise: the benchmark of it runs here small, and seeds and sums know Apple's processors."""

import json

import pytest
import torch

import zerosum
from benchmarks import gpu, gpu_checks
from tests.small import EAGER, words
from zerosum.core import clock, meter
from zerosum.runs.storage import environment
from zerosum.runs.training import elsewhere


def test_the_benchmark_checks_measures_and_writes(tmp_path, capsys):
    out = tmp_path / "gpu.json"
    assert gpu.main(["--device", "cpu", "--quick", "--out", str(out)]) == 0
    results = json.loads(out.read_text())
    assert len(results["checks"]) == 6
    assert all(one["ok"] for one in results["checks"].values()), results["checks"]
    assert results["matmul_gflops"].keys() == {"fp32", "bf16"}
    eager = [line for line in results["recipes"] if not line["compiled"]]
    assert [line["precision"] for line in eager] == ["fp32", "bf16"]
    for line in eager:
        assert line["images_per_second"] > 0
        assert line["syncs"] == 2  # a CPU checks both players' updates at once
        assert line["gflop_per_image"] == pytest.approx(0.032, rel=0.03)  # eleven passes of 1.5 M weights
    assert results["recipes"][-1]["failed"] == "no time left"
    capsys.readouterr()
    assert gpu.main(["--table", str(out)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2 + len(results["recipes"])
    assert shown[2].startswith("| `mlp` | 28 | 8 | fp32 | ")


def test_a_check_that_fails_is_told_and_the_others_are_run(monkeypatch, capsys):
    def broken(device):
        raise gpu_checks.CheckError("it differs\nmuch")

    monkeypatch.setattr(gpu, "CHECKS", (broken, gpu_checks.feed_is_on_the_device))
    results = gpu.check(torch.device("cpu"))
    assert [one["ok"] for one in results.values()] == [False, True]
    assert "FAIL broken: CheckError: it differs\n" in capsys.readouterr().out


def test_checks_can_fail(monkeypatch):
    here = torch.device("cpu")
    with monkeypatch.context() as patch:
        patch.setattr(gpu_checks.Feed, "next", lambda feed: {"sample": torch.rand(2, 3, 4, 4), "label": torch.zeros(2)})
        with pytest.raises(gpu_checks.CheckError, match="differs from a CPU's"):
            gpu_checks.feed_is_on_the_device(here)
    with monkeypatch.context() as patch:
        patch.setattr(gpu_checks.Engine, "load", lambda engine, tensors, numbers: None)
        with pytest.raises(gpu_checks.CheckError, match="tensors differ"):
            gpu_checks.resume_is_exact(here)
    with monkeypatch.context() as patch:
        patch.setattr(gpu_checks.Engine, "_check", lambda *_: torch.zeros(()))
        with pytest.raises(gpu_checks.CheckError, match="weights changed"):
            gpu_checks.update_that_is_not_finite_is_skipped(here)
    with monkeypatch.context() as patch:
        patch.setattr(gpu_checks, "reseed", lambda seed: None)  # other samples on the way from real to fake
        with pytest.raises(gpu_checks.CheckError, match=r"it is \S+, and \S+ in fp32"):
            gpu_checks.penalties_are_float32(here)
    assert not torch.are_deterministic_algorithms_enabled()


def test_deterministic_kernels_are_recorded_and_kept(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(environment.torch, "use_deterministic_algorithms", asked.append)
    monkeypatch.setattr(environment.torch, "are_deterministic_algorithms_enabled", lambda: bool(asked))
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(zerosum.runs.training.session.Training, "play", lambda training, interrupt: False)
    settings = [*words("mlp"), *EAGER]
    run = zerosum.train("digits", "mlp", settings, images=32, out=tmp_path / "run", deterministic=True, quiet=True)
    assert asked == [True]
    assert environment.os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    recorded = json.loads((run.path / "environment.json").read_text())
    assert recorded["deterministic"] is True
    zerosum.resume(run.path, quiet=True)
    assert asked == [True, True]
    changed = elsewhere.changes(recorded, {**recorded, "deterministic": False})
    assert changed == {"deterministic": [True, False]}


def test_seeds_reach_apples_processors(monkeypatch):
    seeds, states = [], []
    monkeypatch.setattr(clock, "has_mps", lambda: True)
    monkeypatch.setattr(torch.mps, "manual_seed", seeds.append)
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: "before")
    monkeypatch.setattr(torch.mps, "set_rng_state", states.append)
    clock.reseed(3, "x")
    with clock.seeded(3, "x"):
        assert states == []
    assert seeds == [clock.mix(3, "x")] * 2
    assert states == ["before"]


def test_sums_are_float64_where_there_are_any():
    assert meter.precise(torch.device("cpu")) == meter.precise(torch.device("cuda")) == torch.float64
    assert meter.precise(torch.device("mps")) == torch.float32


def test_apples_processors_compute_in_bf16_from_macos_14_on(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda major, minor: major <= 13)
    assert not environment.computes_in_bf16(torch.device("mps"))
    monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda major, minor: True)
    assert environment.computes_in_bf16(torch.device("mps"))
