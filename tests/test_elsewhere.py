"""A run that goes on on another machine: what is kept, what is not, and that it is said and recorded."""

import json
import shutil

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import zerosum
from tests.small import EAGER, words
from zerosum.cli.main import app
from zerosum.core.errors import DamagedError, DataError, RunError
from zerosum.recipes import read_recipe
from zerosum.runs.evaluation import neighbours
from zerosum.runs.evaluation.evaluate import evaluate
from zerosum.runs.storage import environment, machine
from zerosum.runs.training import elsewhere, failures, session


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run of 64 images on a folder's data, and the data."""
    folder = tmp_path_factory.mktemp("begun")
    np.save(folder / "data.npy", np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8))
    settings = [*words("mlp"), *EAGER, "precision=fp32"]
    zerosum.train(folder / "data.npy", "mlp", settings, images=64, out=folder / "run", quiet=True)
    return folder


@pytest.fixture
def run(begun, tmp_path, monkeypatch):
    monkeypatch.setattr(session.Training, "evaluate", lambda *_: None)  # what takes long is not the subject
    monkeypatch.setattr(failures, "write_report", lambda run: None)
    return shutil.copytree(begun / "run", tmp_path / "run")


def edit(run, **changes):
    path = run / "environment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def recorded(run):
    return json.loads((run / "environment.json").read_text())


def go_on(run, **options):
    return zerosum.resume(run, images=96, **options)


def said(capfd):
    return " ".join(capfd.readouterr().err.split())


def test_on_the_same_machine_nothing_is_recorded(run, capfd):
    assert go_on(run).finished
    assert "bit for bit" not in said(capfd)
    assert "continuations" not in recorded(run)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has the device that is missed")
def test_a_run_of_a_gpu_goes_on_on_a_cpu(run, capfd):
    edit(run, device="cuda", accelerator="a fast one")
    with pytest.raises(RunError, match=r"device 'cuda' cannot be used here .*; use --device cpu"):
        go_on(run, device="cuda")
    assert go_on(run).finished
    text = said(capfd)
    assert "this run was on cuda, which is not available here; it continues on cpu" in text
    assert "from here on results differ in some bits from those of an uninterrupted run: device cuda -> cpu" in text
    changed = {"device": ["cuda", "cpu"], "accelerator": ["a fast one", None]}
    assert recorded(run)["continuations"] == [{"images": 64, "bit_exact": False, "changed": changed}]
    assert recorded(run)["device"] == "cpu"


def test_threads_that_are_not_there_are_not_taken_over(run, capfd):
    edit(run, threads=4_000)
    assert go_on(run).finished
    assert torch.get_num_threads() == 1
    assert f"this run had 4000 threads, and there are {machine.cores()} cores here; it continues with 1" in said(capfd)
    assert recorded(run)["continuations"][0]["changed"] == {"threads": [4_000, 1]}


def test_threads_that_were_asked_for_are_taken_and_said(monkeypatch, capfd):
    said = []
    monkeypatch.setattr(environment, "cores", lambda: 2)
    monkeypatch.setattr(torch, "set_num_threads", said.append)
    environment.use_threads(3, said.append)
    assert said == ["3 threads on 2 cores: they wait for each other; --threads 2 is faster", 3]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    environment.use_threads(None, said.append)
    assert said[2:] == [2]  # a container's cores, and not the machine's


def test_bf16_that_was_chosen_for_another_machine_is_not_taken_over(monkeypatch):
    before = {"device": "cpu", "threads": 1, "precision": "bf16"}
    recipe, said = read_recipe("dcgan"), []
    monkeypatch.setattr(elsewhere, "computes_in_bf16", lambda device: False)
    assert elsewhere.here(before, recipe, said.append)["precision"] == "fp32"
    assert said == ["this run used bf16, which cpu does not support; it continues in fp32"]
    asked = recipe.replace(precision="bf16")
    assert elsewhere.here(before, asked, said.append)["precision"] == "bf16"
    monkeypatch.setattr(elsewhere, "computes_in_bf16", lambda device: True)
    assert elsewhere.here(before, recipe, said.append)["precision"] == "bf16"
    assert len(said) == 1


def test_moved_data_are_found_and_recorded(begun, run, tmp_path):
    other = shutil.copy(begun / "data.npy", tmp_path / "elsewhere.npy")
    source = str(tmp_path / "gone.npy")
    edit(run, data={**recorded(run)["data"], "source": source})
    with pytest.raises(
        DataError, match=r"in \S+\nThis .*gone.npy; if the data were moved: zerosum resume \S+ --data PLACE"
    ):
        go_on(run, quiet=True)
    with pytest.raises(DataError, match=r"gone.npy; if the data were moved: zerosum evaluate \S+ --data PLACE"):
        evaluate(run, count=20)
    with pytest.raises(DataError, match=r"gone.npy; if the data were moved: zerosum train PLACE --from \S+$"):
        zerosum.train(start_from=run, out=tmp_path / "new", quiet=True)
    assert go_on(run, data=other, quiet=True).finished
    assert recorded(run)["data"]["source"] == str(other)
    line = {"images": 64, "bit_exact": True, "changed": {"data": [source, str(other)]}}
    assert recorded(run)["continuations"] == [line]
    assert zerosum.resume(run, images=128, quiet=True).finished  # it knows


def test_other_data_are_no_moved_data(run, tmp_path):
    np.save(tmp_path / "other.npy", np.zeros((40, 8, 8, 1), dtype=np.uint8))
    before = recorded(run)
    with pytest.raises(RunError, match=r"the data changed since .*other.npy holds other data than \S+data.npy did"):
        go_on(run, data=tmp_path / "other.npy", quiet=True)
    assert recorded(run) == before


@pytest.mark.parametrize("change", [{"from": "there"}, {"from": {}}, {"continuations": 3}, {"decisions": "one"}])
def test_a_history_of_another_shape_is_damage(run, change):
    edit(run, **change)
    with pytest.raises(DamagedError, match=r"environment.json: (from|continuations|decisions)"):
        go_on(run, quiet=True)


def test_samples_find_their_neighbours_in_moved_data(begun, run, tmp_path):
    out = tmp_path / "n.png"
    words = ["sample", str(run), "-n", "2", "--neighbours", "own", "--k", "2", "-o", str(out)]
    assert CliRunner().invoke(app, words).exit_code == 0
    origin = {name: value for name, value in recorded(run)["data"].items() if name != "root"}
    edit(run, data={**origin, "source": str(tmp_path / "gone.npy"), "skip_bad": True})
    told = {"data_root": None, "fingerprint": origin["fingerprint"], "skip_bad": True}
    assert neighbours.own_data(run, None, None) == (str(tmp_path / "gone.npy"), told)
    other = shutil.copy(begun / "data.npy", tmp_path / "elsewhere.npy")
    assert CliRunner().invoke(app, [*words, "--data", str(other)]).exit_code == 0
    np.save(other, np.zeros((40, 8, 8, 1), dtype=np.uint8))
    for more, text in (
        ([*words, "--data", str(other)], "holds other data than the run was trained on"),
        (words, "gone.npy"),
        ([*words[:4], "--data", str(other)], "for --neighbours own"),
        (["sample", str(run / "model.safetensors"), *words[2:]], "is not a run and does not know its data"),
    ):
        done = CliRunner().invoke(app, more)
        assert (done.exit_code, text in " ".join(done.stderr.split())) == (2, True), done.stderr


@pytest.mark.parametrize("name", ["tpu9", "meta", "", "cuda:x", "CPU?"])
def test_devices_that_nothing_lives_on_are_refused(name):
    with pytest.raises(RunError, match=r"device '.*' cannot be used here \(.+\); use --device cpu"):
        environment.choose_device(name)


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="has the device that is missed")
def test_mps_is_missed_in_one_sentence():
    with pytest.raises(RunError) as raised:
        environment.choose_device("mps")
    assert str(raised.value) == (
        "device 'mps' cannot be used here (there is no Apple GPU that PyTorch can use); use --device cpu"
    )


def test_auto_takes_what_is_fast(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert environment.choose_device("auto") == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert environment.choose_device("auto") == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert environment.choose_device("auto") == torch.device("cpu")


# ---------------------------------------------------------------------- what a container leaves


def groups(tmp_path, monkeypatch, **files):
    """Control groups of these files in the place of the machine's."""
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    read = machine._read
    fixed = {"/proc/self/cgroup": "0::/box\n", "/proc/meminfo": "MemTotal: 99 kB\nMemAvailable:   8192 kB\n"}
    monkeypatch.setattr(machine, "_read", lambda file: fixed.get(str(file), read(file)))
    for name, text in files.items():
        path = tmp_path / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def test_cores_and_memory_are_those_of_the_container(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 16)
    groups(tmp_path, monkeypatch)
    assert (machine.cores(), machine.free_memory()) == (16, 8192 << 10)
    groups(
        tmp_path,
        monkeypatch,
        box__cpu_dot_max="150000 100000\n",
        cpu_dot_max="max 100000\n",
        box__memory_dot_max="1000000\n",
        box__memory_dot_current="900000\n",
        box__memory_dot_stat="anon 1\ninactive_file 200000\n",
    )
    assert (machine.cores(), machine.free_memory()) == (2, 300_000)


def test_the_older_control_groups_count_too(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    groups(
        tmp_path, monkeypatch, cpu__cpu_dot_cfs_quota_us="400000\n", cpu__cpu_dot_cfs_period_us="100000\n",
        memory__memory_dot_limit_in_bytes="5000\n", memory__memory_dot_usage_in_bytes="1000\n",
    )  # fmt: skip
    fixed = {"/proc/self/cgroup": "4:memory:/\n1:cpu,cpuacct:/box\n", "/proc/meminfo": ""}
    read = machine._read
    monkeypatch.setattr(machine, "_read", lambda file: fixed.get(str(file), read(file)))
    assert machine.free_memory() == 4000
    assert [folder.name for folder in machine._groups("cpu")] == ["box", "cpu"]
    assert machine.cores() == 4
