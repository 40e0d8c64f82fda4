"""Ranks from the command line: one training in two processes, however it ends; what is refused; what is recorded."""

import json
import os
import shlex
import signal
import subprocess
import sys

import pytest
import torch

from tests.crew import EARLY, LENGTH, SETTINGS
from zerosum.core.errors import RecipeError, RunError
from zerosum.runs.storage.environment import use_threads
from zerosum.runs.storage.logs import TIMES
from zerosum.runs.training import launching, plan
from zerosum.runs.training.launching import Place
from zerosum.runs.training.rehearsal import Measured

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes begin by a fork")


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Folder with the runs of `tests.crew`."""
    folder = tmp_path_factory.mktemp("crew")
    ended = subprocess.run([sys.executable, "-m", "tests.crew", folder], timeout=200, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return folder


def outcome(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


def lines(run, name):
    found = [json.loads(line) for line in (run / f"{name}.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in found]


def environment(run):
    return json.loads((run / "environment.json").read_text())


def contents(run):
    last = run / "checkpoints" / (run / "latest").read_text().strip()
    found = {path.name: path.read_bytes() for path in (*last.glob("*.safetensors"), *run.glob("*.safetensors"))}
    found |= {name: lines(run, name) for name in ("metrics", "evaluations")}
    return found | {"loss": (run / "loss.txt").read_text()}


@forks
def test_two_ranks_train_and_rank_0_alone_speaks(played):
    told = outcome(played, "whole")
    assert told["status"] == 0
    assert json.loads(told["out"])["finished"]
    assert told["err"].count("model:") == 1
    run = played / "whole"
    assert environment(run)["ranks"] == 2
    assert environment(run)["threads"] == 1
    reports = lines(run, "metrics")
    assert [line["images"] for line in reports] == list(range(48, LENGTH + 1, 48))  # of both ranks together
    assert all(0 <= line["pairwise_accuracy"] <= 1 for line in reports)
    assert len(lines(run, "evaluations")) == 2


@forks
@pytest.mark.parametrize("name", ["asked", "interrupted"])
def test_a_signal_at_any_rank_stops_both_at_the_same_turn_with_one_checkpoint(played, name):
    assert outcome(played, name)["status"] == 0
    after = [path.name for path in (played / name / "checkpoints").iterdir() if int(path.name) > EARLY]
    assert f"{EARLY + 16:09d}" in after
    assert name == "asked" or len(after) == 1  # the other has been resumed
    assert name == "asked" or (played / name / "latest").read_text() == f"{EARLY + 16:09d}\n"


@forks
@pytest.mark.parametrize(("name", "lost", "saved"), [("lost", 1, 96), ("headless", 0, None)])
def test_a_lost_rank_ends_the_run_with_one_sentence(played, name, lost, saved):
    told, run = outcome(played, name), played / name
    assert told["status"] == (-signal.SIGKILL if lost == 0 else 1)
    assert told["seconds"] < 20
    resume = f"go on with: {shlex.join(['zerosum', 'resume', str(run)])}"
    said = told["err"].splitlines()
    assert said[0] == f"error: rank {lost} of 2 ended before the others did"
    assert said[1] == (resume if saved is None else f"saved: everything up to {saved} images; {resume}")
    assert len(said) == (2 if saved is None else 3)  # and the report


@forks
@pytest.mark.parametrize("name", ["asked", "lost"])
def test_a_resumed_training_ends_bit_for_bit_as_one_left_in_peace(played, name):
    assert outcome(played, f"{name}-resumed")["status"] == 0
    whole, resumed = contents(played / "whole"), contents(played / name)
    assert whole.keys() == resumed.keys()
    assert [key for key, value in whole.items() if resumed[key] != value] == []
    assert "continuations" not in environment(played / name)


@forks
def test_another_number_of_ranks_goes_on_and_that_is_recorded(played):
    told, run = outcome(played, "alone"), played / "headless"
    assert told["status"] == 0
    assert "from here on results differ in some bits from those of an uninterrupted run: ranks 2 -> 1" in told["err"]
    (line,) = environment(run)["continuations"]
    assert line == {"images": 96, "bit_exact": False, "changed": {"ranks": [2, 1]}}
    assert lines(run, "metrics")[-1]["images"] == LENGTH


@forks
def test_all_ranks_go_back_together_where_a_value_is_not_finite(played):
    assert outcome(played, "nan")["status"] == 0
    (event,) = (line for line in lines(played / "nan", "metrics") if "rollback" in line)
    assert (event["images"], event["rollback"]) == (96, 1)
    assert lines(played / "nan", "metrics")[-1]["images"] == LENGTH


@forks
def test_a_length_in_time_and_weights_from_elsewhere_reach_all_ranks(played):
    assert outcome(played, "from")["status"] == 0
    run = played / "from"
    assert environment(run)["from"]["images"] == LENGTH
    assert lines(run, "metrics")[-1]["images"] % 16 == 0


@forks
def test_a_batch_that_cannot_be_shared_is_refused_before_anything_is_written(played):
    told = outcome(played, "odd")
    text = "error: 4 ranks cannot share a batch of 18 in packs of 2; use batch=16, or --ranks 1 or 3\n"
    assert (told["status"], told["err"]) == (2, text)
    assert not (played / "odd").exists()


def test_a_batch_that_a_run_has_can_only_be_shared_otherwise():
    Place(0, 4).check_batch(8, 2)
    with pytest.raises(RecipeError, match=r"^3 ranks cannot share a batch of 64; use batch=63, or --ranks 2 or 4$"):
        Place(0, 3).check_batch(64, 1)
    with pytest.raises(RecipeError, match=r"^3 ranks cannot share a batch of 64; use --ranks 2 or 4$"):
        Place(0, 3).check_batch(64, 1, fixed=True)


def test_torchrun_decides_which_rank_a_process_is(monkeypatch):
    assert launching.place() == Place()
    assert launching.place(3) == launching.place(None, 3) == Place(0, 3, 0, 3)
    for name, value in {"RANK": 5, "WORLD_SIZE": 8, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 4}.items():
        monkeypatch.setenv(name, str(value))
    assert launching.place() == Place()  # no address
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "1")
    assert launching.place() == launching.place(8) == Place(5, 8, 1, 4, launched=True)
    assert launching.place(None, 2).world == 8
    with pytest.raises(RunError, match=r"^--ranks 2, but torchrun started 8; leave --ranks out, as torchrun decides$"):
        launching.place(2)
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(RunError, match=r"^the environment says RANK='first', which is not a number; torchrun sets it$"):
        launching.place()


def test_each_rank_has_a_device_of_its_own(monkeypatch):
    place, cuda = Place(1, 4, 1, 2), torch.device("cuda")
    assert place.device(torch.device("cpu")) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert place.device(cuda) == place.device(torch.device("cuda:0")) == torch.device("cuda:1")
    assert Place().device(torch.device("cuda:3"), named=True) == torch.device("cuda:3")
    refused = {
        "cuda:1": "each of 4 ranks has a device of its own, so cuda:1 cannot be theirs; use cuda",
        "mps": "4 ranks train on cpu or cuda, not on mps; use --device cpu, or --ranks 1",
    }
    for name, text in refused.items():
        with pytest.raises(RunError, match=f"^{text}$"):
            place.device(torch.device(name), named=True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    text = "2 ranks on this machine need a CUDA device each, and there are 1; use --ranks 1, or --device cpu"
    with pytest.raises(RunError, match=f"^{text}$"):
        place.device(cuda)


def test_ranks_divide_the_threads_of_a_machine(monkeypatch):
    monkeypatch.setattr("zerosum.runs.storage.environment.cores", lambda: 6)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    chosen, said = [], []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    for ranks in (1, 2, 8):
        use_threads(None, said.append, ranks=ranks)
    use_threads(3, said.append, ranks=2)
    assert (chosen, said) == ([6, 3, 1, 3], [])
    use_threads(4, said.append, ranks=2)
    assert said == ["2 ranks of 4 threads on 6 cores: they wait for each other; --threads 3 is faster"]
    assert Place(0, 4, 0, 2, launched=True).sharing == 1  # torchrun has divided them


def test_memory_is_that_of_all_ranks_on_the_machine(monkeypatch):
    monkeypatch.setattr(plan.machine, "private", lambda: 1_000)
    own, cpu = Measured("fp32", 0.1, 500, 7), torch.device("cpu")
    assert plan.together(own, Place(), cpu) == own
    assert plan.together(own, Place(0, 4, 0, 4), cpu) == Measured("fp32", 0.025, 4 * 500 + 3 * 1_000, 7)
    assert plan.together(own, Place(0, 4, 0, 2), cpu) == Measured("fp32", 0.025, 2 * 500 + 1_000, 4)  # two machines
    assert plan.together(own, Place(0, 4, 0, 4), torch.device("cuda:0")) == Measured("fp32", 0.025, 500, 2)


@pytest.mark.slow
@pytest.mark.parametrize("start", ["ranks", "torchrun"])
def test_processes_of_their_own_train_and_resume(tmp_path, start):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"] if start == "torchrun" else []
    train = ["-m", "zerosum", "train", "digits", "-r", "mlp", *SETTINGS, "--images", "96", "--out", tmp_path / "run"]
    ranks = [] if start == "torchrun" else ["--ranks", "2"]
    for arguments in ([*train, *ranks], ["-m", "zerosum", "resume", tmp_path / "run", "--images", "192"]):
        command = [sys.executable, *launcher, *map(str, arguments)]
        ended = subprocess.run(command, timeout=200, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        assert ended.stderr.count("model:") == 1
    assert environment(tmp_path / "run")["ranks"] == 2
    assert "continuations" not in environment(tmp_path / "run")
    assert lines(tmp_path / "run", "metrics")[-1]["images"] == 192
