"""Why a regularizer refuses a discriminator."""

from __future__ import annotations

AUTOENCODER = (
    "the logit of an auto-encoder is minus its reconstruction error; remove this regularizer, or choose a "
    "discriminator.network that gives logits, for example dcgan-discriminator"
)
