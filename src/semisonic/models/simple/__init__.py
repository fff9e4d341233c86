"""Simple classifiers as networks: statistics of a clip, and a head that was fitted and not trained.

They are built, saved, loaded, asked, calibrated and exported like any network.
"""
