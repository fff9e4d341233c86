"""The training loop, its options, checkpoints and devices, and the run folder."""
