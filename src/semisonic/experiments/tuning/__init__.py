"""A search over a recipe's options, on training clips alone."""
