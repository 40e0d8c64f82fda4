"""Train the classifiers that zerosum ships as extractors, from nothing, and write their files.

    OMP_NUM_THREADS=1 ZEROSUM_DATA=... python -m benchmarks.classifiers digits mnist fashion-mnist

Trains on the part of a set that trains, and says how many of the held-out part are right. One thread, one seed: the
same machine and versions give the same weights; the file also holds date and duration, so its sha256 is new each time.
Another seed gives another judge, so the shipped files are frozen: a new training is a new version, never a silent
change. Prints the lines for `SHA256` in `zerosum/extractors/small.py`.
"""

import argparse
import datetime
import hashlib
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional as F

from zerosum.data import open_data
from zerosum.extractors.small import SHA256, WEIGHTS, SmallCNN, rule


@dataclass(frozen=True)
class Setting:
    """How one classifier is trained."""

    file: str
    side: int  # pixels
    epochs: int
    batch: int = 100
    rate: float = 4e-3  # highest learning rate; rises over the first 30 % and falls as a cosine
    decay: float = 1e-2  # AdamW's weight decay
    shift: int = 1  # pixels, up to which each image is moved in both directions
    flip: bool = False  # mirror left to right


SETTINGS = {
    "digits": Setting("digits-cnn-v1", 8, epochs=60, batch=50),
    "mnist": Setting("mnist-cnn-v1", 28, epochs=10),
    "fashion-mnist": Setting("fashion-cnn-v1", 28, epochs=10, flip=True),
}


def moved(images: Tensor, shift: int, flip: bool) -> Tensor:
    """Move each image `[N, 1, H, W]` by its own steps (black comes in), and mirror half of them."""
    count, side = len(images), images.shape[-1]
    rows, columns = torch.randint(2 * shift + 1, (2, count, 1)) + torch.arange(side)
    if flip:
        columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
    padded = F.pad(images[:, 0], (shift,) * 4)
    return padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]].unsqueeze(1)


def train(setting: Setting, images: Tensor, labels: Tensor, seed: int) -> SmallCNN:
    """Train from nothing."""
    torch.manual_seed(seed)
    network = SmallCNN(setting.side)
    optimizer = torch.optim.AdamW(network.parameters(), setting.rate, weight_decay=setting.decay)
    steps = -(-len(images) // setting.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, setting.rate, total_steps=setting.epochs * steps)
    for epoch in range(setting.epochs):
        begin, total = time.perf_counter(), 0.0
        for batch in torch.randperm(len(images)).split(setting.batch):
            _, logits = network(moved(images[batch], setting.shift, setting.flip).float())
            loss = F.cross_entropy(logits, labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        print(f"  epoch {epoch + 1}: loss {total / len(images):.4f}, {time.perf_counter() - begin:.0f} s", flush=True)
    return network.eval()


@torch.no_grad()
def set_scale(network: SmallCNN, images: Tensor) -> None:
    """Make the trace of the features' covariance their number."""
    features = torch.cat([network(piece.float())[0].double() for piece in images.split(500)])
    network.scale.copy_((features.shape[1] / features.var(0).sum()).sqrt())


@torch.no_grad()
def correct(network: SmallCNN, images: Tensor, labels: Tensor) -> int:
    """Number of images whose largest logit is that of their class."""
    pairs = zip(images.split(500), labels.split(500), strict=True)
    return sum(int((network(x.float())[1].argmax(1) == y).sum()) for x, y in pairs)


def main() -> None:
    """Train what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="+", choices=SETTINGS)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for name in chosen.sets:
        make(name, chosen.out, chosen.seed)


def make(name: str, folder: Path, seed: int) -> None:
    """Train and write one classifier."""
    setting, data = SETTINGS[name], open_data(name)
    images = torch.from_numpy(np.array(data.values)).permute(0, 3, 1, 2)
    labels = torch.from_numpy(np.array(data.labels))
    train_part, test_part = torch.from_numpy(data.train), torch.from_numpy(data.held_out)
    print(f"{name}: {len(train_part)} images train, {len(test_part)} judge", flush=True)
    begin = time.perf_counter()
    network = train(setting, images[train_part], labels[train_part], seed)
    set_scale(network, images[train_part])
    seconds = time.perf_counter() - begin
    right = correct(network, images[test_part], labels[test_part])
    card = {
        "name": setting.file,
        "data": f"{name}, {len(train_part)} images; fingerprint {data.fingerprint}",
        "accuracy": f"{right / len(test_part):.4f} ({right} of {len(test_part)} held-out images)",
        "input": rule(setting.side),
        "features": f"[N, {network.head.in_features}], the layer before the logits",
        "setting": str(setting),
        "command": f"OMP_NUM_THREADS=1 python -m benchmarks.classifiers {name} --seed {seed}",
        "seconds": f"{seconds:.0f}",
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "versions": ", ".join(f"{package} {version(package)}" for package in ("zerosum", "torch", "numpy")),
    }
    content = safetensors.torch.save({key: value.contiguous() for key, value in network.state_dict().items()}, card)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{setting.file}.safetensors").write_bytes(content)
    assert setting.file in SHA256
    print(f"{name}: {card['accuracy']} in {seconds:.0f} s, {len(content):,} bytes")
    print(f'    "{setting.file}": "{hashlib.sha256(content).hexdigest()}",', flush=True)


if __name__ == "__main__":
    main()
