"""Networks: the paper's notation, encoders, decoders, classifiers and their files."""
