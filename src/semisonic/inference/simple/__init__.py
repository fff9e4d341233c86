"""Simple classifiers on numbers of a clip: k-NN, forests, linear models. No network is trained."""
