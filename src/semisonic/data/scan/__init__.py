"""A first look at a disk of recordings: each decoded once, measured, named and compared."""
