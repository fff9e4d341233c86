"""Objectives: what is minimised, one file a method; tensors in, a loss and terms out."""
