"""Recordings as vectors to search and to map; and the loop from answers to a classifier."""
