"""Random changes of images before the discriminator sees them.

An augmentation is called as `augmentation(images)`, or `augmentation(images, memory)` where it has a memory:
[N, C, H, W] in and out, a new draw for every image of every call, twice differentiable with respect to the images.
    where     "both": real and generated images, in the moves of both players; the generator learns the original data
              "real": only real images, as they are loaded; the generator learns the changed images (fine for a mirror)
"""

from zerosum.augmentations.adaptive import ADA
from zerosum.augmentations.diffaugment import DiffAugment
from zerosum.augmentations.real import Crop, Flip, Rotation, Scale, Shift

__all__ = ["ADA", "Crop", "DiffAugment", "Flip", "Rotation", "Scale", "Shift"]
