"""Metrics from a classifier's predictions: inception score, which classes occur, accuracy of conditional samples.

Compare only numbers of the same classifier.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from zerosum.metrics.checks import takes_arrays


@takes_arrays
def inception_score(logits: Tensor, splits: int = 10, seed: int | None = 2020) -> tuple[float, float]:
    """Mean and standard deviation (ddof 0) over parts of exp(E KL(p(y|x) || p(y))); 1 to K, higher is better.

    Salimans et al. 2016, section 4. Confidently classified images, equally many of each class, reach K; images with the
    same prediction reach 1. Real images do not enter: read it beside `label_divergence`. Rows are shuffled and split as
    in torch-fidelity, so that equal logits give equal numbers.

    Args:
        logits: a classifier's, `[N, K]`; logarithms of probabilities are logits too, and -inf is a probability of 0.
        splits: number of parts with a score each; part i ends at row (i + 1) * N // splits.
        seed: of the shuffle before the split; None keeps the order, which must then not follow the classes.

    Raises:
        ValueError: logits are not `[N, K]`, some are NaN or +inf, or there are fewer of them than parts.
    """
    if logits.ndim != 2 or not logits.shape[1]:
        raise ValueError(f"inception_score: logits [N, K] are needed, their shape is {tuple(logits.shape)}")
    count = len(logits)
    if not 1 <= splits <= count:
        raise ValueError(f"inception_score: splits must be 1 to the number of rows, {count}, not {splits}")
    logs = logits.detach().cpu().double().log_softmax(1)
    if logs.isnan().any():
        raise ValueError("inception_score: some logits are NaN or +inf, or a row has only -inf")
    if seed is not None:
        order = np.random.RandomState(seed).permutation(count)
        logs = logs[torch.from_numpy(order)]
    ends = [part * count // splits for part in range(splits + 1)]
    scores = torch.stack([_score(logs[start:end]) for start, end in pairwise(ends)])
    return scores.mean().item(), scores.std(correction=0).item()


def _score(logs: Tensor) -> Tensor:
    share = logs.exp()
    marginal = logs.logsumexp(0) - math.log(len(logs))
    gains = torch.where(share > 0, share * (logs - marginal), 0.0)  # 0 * -inf is NaN, but its limit is 0
    return gains.sum(1).mean().exp()


@takes_arrays
def label_divergence(predicted: Tensor, reference: Tensor) -> float:
    """KL(p_fake || p_real) of predicted classes, in nats; lower is better, 0 for equal shares.

    The term that the MODE score adds to the inception score cancels in its formula (Che et al. 2017), so it is reported
    separately, as here. A perfect sampler has about (K - 1) / 2N, not 0. Infinite where a class appears that the
    reference lacks.

    Args:
        predicted: of the fakes: labels `[N]`, or probabilities `[N, K]`, whose mean is p_fake.
        reference: share or count of each class among real images, `[K]`; predicted by the same classifier, so that its
            errors affect both sides.

    Raises:
        ValueError: shapes or labels do not fit, there are none, or a share is negative or not finite.
    """
    share = _share("label_divergence", reference)
    if predicted.is_floating_point():
        _check_probabilities(predicted, len(share))
        fake = predicted.detach().cpu().double().mean(0)
        fake = fake / fake.sum()  # softmax in half precision sums to 1.001
    else:
        fake = _counts("label_divergence", predicted, len(share)) / len(predicted)
    present = fake > 0
    divergence = (fake[present] * (fake[present] / share[present]).log()).sum().item()
    return max(0.0, divergence)  # rounding can leave -1e-16


@takes_arrays
def class_coverage(predicted: Tensor, reference: Tensor) -> dict[str, int]:
    """Number of the real images' classes that the fakes have.

    Args:
        predicted: predicted labels of the fakes, `[N]`.
        reference: share or count of each class among real images, `[K]`.

    Returns:
        `classes`: classes that occur at least once; a classifier's errors alone can reach that.
        `classes_half`: classes that occur at least half as often as among real images.

    Raises:
        ValueError: as for `label_divergence`.
    """
    share = _share("class_coverage", reference)
    counts = _counts("class_coverage", predicted, len(share))
    present = (share > 0) & (counts > 0)
    often = present & (2 * counts >= share * counts.sum() * (1 - 1e-6))  # shares in float32 are rounded
    return {"classes": int(present.sum()), "classes_half": int(often.sum())}


@takes_arrays
def class_accuracy(predicted: Tensor, intended: Tensor) -> float:
    """Share of conditional samples, 0 to 1, whose predicted class `[N]` is the requested class `[N]`.

    The upper limit is the classifier's accuracy on real images, not 1.

    Raises:
        ValueError: the two are not labels of one length, or there are none.
    """
    _check_pairs("class_accuracy", predicted, intended)
    return (predicted.cpu() == intended.cpu()).double().mean().item()


@takes_arrays
def accuracy_by_class(predicted: Tensor, intended: Tensor) -> dict[int, float]:
    """`class_accuracy` for each requested class, by label.

    Raises:
        ValueError: as for `class_accuracy`.
    """
    _check_pairs("accuracy_by_class", predicted, intended)
    predicted, intended = predicted.cpu(), intended.cpu()
    return {int(k): class_accuracy(predicted[intended == k], intended[intended == k]) for k in intended.unique()}


def _share(metric: str, reference: Tensor) -> Tensor:
    reference = reference.detach().cpu().double()
    if reference.ndim != 1 or not len(reference):
        raise ValueError(f"{metric}: reference [K] is needed, its shape is {tuple(reference.shape)}")
    if not (reference.isfinite().all() and (reference >= 0).all() and reference.sum() > 0):
        raise ValueError(f"{metric}: reference must be shares or counts, at least 0 and not all 0")
    return reference / reference.sum()


def _counts(metric: str, labels: Tensor, classes: int) -> Tensor:
    labels = labels.detach().cpu()
    if labels.ndim != 1 or not len(labels) or labels.is_floating_point():
        raise ValueError(f"{metric}: whole labels [N] are needed, they are {labels.dtype} {tuple(labels.shape)}")
    if labels.min() < 0 or labels.max() >= classes:
        actual = f"{int(labels.min())}..{int(labels.max())}"
        raise ValueError(f"{metric}: labels must be 0..{classes - 1}, as the reference has {classes}, not {actual}")
    return torch.bincount(labels, minlength=classes).double()


def _check_probabilities(probabilities: Tensor, classes: int) -> None:
    if probabilities.ndim != 2 or probabilities.shape[1] != classes or not len(probabilities):
        shape = tuple(probabilities.shape)
        raise ValueError(f"label_divergence: probabilities [N, {classes}] are needed, their shape is {shape}")
    sums = probabilities.detach().double().sum(1)
    if not ((probabilities >= 0).all() and ((sums - 1).abs() < 1e-2).all()):
        raise ValueError("label_divergence: probabilities must be at least 0 and sum to 1 in each row")


def _check_pairs(metric: str, predicted: Tensor, intended: Tensor) -> None:
    integers = not (predicted.is_floating_point() or intended.is_floating_point())
    if not integers or predicted.ndim != 1 or predicted.shape != intended.shape or not len(predicted):
        what = " and ".join(f"{labels.dtype} {tuple(labels.shape)}" for labels in (predicted, intended))
        raise ValueError(f"{metric}: two sets of whole labels [N] are needed, they are {what}")
