"""The embedded data set ``synth``: environmental sounds by procedural synthesis."""
