"""Experiments in stages: trainings that start from one another, some on labels nobody checked."""
