"""Reports as one self-contained page, with figures, tables and plain values in files beside it."""
