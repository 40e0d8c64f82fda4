"""What objectives take a logit for: as traits, and as reasons to refuse a discriminator."""

from __future__ import annotations

ZERO_LEVEL = frozenset({"zero-level"})  # the sign of a logit says real or fake
RECONSTRUCTION = frozenset({"reconstruction"})  # a logit is minus a reconstruction error

REFUSES_AUTOENCODER = {
    "autoencoder": "the logit of an auto-encoder is minus its reconstruction error, at most 0 and smallest for what it "
    "has not learnt, so no loss on free logits fits it; set objective=began or ebgan, or discriminator.network to one "
    "with free logits, such as dcgan-discriminator"
}
NEEDS_AUTOENCODER = {
    "autoencoder": "it trains on reconstruction errors, which only an auto-encoder gives; set "
    "discriminator.network=began-discriminator"
}
