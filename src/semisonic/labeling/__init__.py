"""Recordings as vectors, to search and to look at; and the loop from answers to a classifier."""
