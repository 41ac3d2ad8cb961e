"""The catalog of checkpoints, and the networks loaded from them."""
