"""How a classifier learns from labels and a pool: methods by name, and which one to take."""
