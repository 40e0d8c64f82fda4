"""Data: named sets, folders, archives, arrays and mixtures, decoded once and fed by position."""

from zerosum.data.dataset import Dataset, open_data
from zerosum.data.feed import Feed
from zerosum.data.named import names
from zerosum.data.pixels import to_images
from zerosum.data.preparation import Preparation

__all__ = ["Dataset", "Feed", "Preparation", "names", "open_data", "to_images"]
