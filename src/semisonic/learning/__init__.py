"""Objectives to minimise, one file per method: from tensors to a loss and its terms."""
