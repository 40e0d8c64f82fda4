"""Data: named sets, folders, archives, arrays and mixtures, decoded once and fed by position."""

from zerosum.data.contents import Contents
from zerosum.data.dataset import RULES, Dataset
from zerosum.data.feed import Feed
from zerosum.data.given import kept
from zerosum.data.mixtures import Mixture
from zerosum.data.named import names
from zerosum.data.opening import open_data
from zerosum.data.pairings import Pairing
from zerosum.data.part import DataPart
from zerosum.data.pixels import to_images
from zerosum.data.preparation import Preparation
from zerosum.data.sources import is_name, whole_place
from zerosum.data.units import Units

__all__ = [
    "RULES",
    "Contents",
    "DataPart",
    "Dataset",
    "Feed",
    "Mixture",
    "Pairing",
    "Preparation",
    "Units",
    "is_name",
    "kept",
    "names",
    "open_data",
    "to_images",
    "whole_place",
]
