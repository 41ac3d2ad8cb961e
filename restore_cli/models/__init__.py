"""The catalog of checkpoints, and networks made from them."""
