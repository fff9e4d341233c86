"""Recordings to samples: find, probe, decode, resample, check and write audio."""
