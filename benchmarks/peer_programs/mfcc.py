"""librosa and scikit-learn: MFCC statistics, logistic regression."""

import csv
from pathlib import Path
from typing import Any

import way


def user(_: Any) -> None:
    # what a user writes
    import librosa
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def vector(path: Path) -> Any:
        wave = librosa.util.fix_length(librosa.load(path)[0], size=5 * 22050)
        found = librosa.feature.mfcc(y=wave, n_mfcc=20, n_fft=1024, n_mels=64)
        return np.concatenate([found.mean(axis=1), found.std(axis=1)])

    labelled, new = sorted(Path("labelled").glob("*/*")), sorted(Path("new").iterdir())
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit([vector(path) for path in labelled], [path.parent.name for path in labelled])
    named = model.predict([vector(path) for path in new])
    with open("predictions.csv", "w", encoding="utf-8", newline="") as table:
        csv.writer(table).writerows(zip(new, named, strict=True))
    # end


if __name__ == "__main__":
    way.by_folders(user, ["librosa", "scikit-learn", "numpy"])
