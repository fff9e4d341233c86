"""Use a model that ``semisonic export MODEL -o model.onnx`` wrote, without Semisonic and torch.

pip install numpy soundfile soxr onnxruntime
python onnx_without_semisonic.py model.onnx rain.wav dog.ogg
"""

import json
import sys

import numpy as np
import onnxruntime
import soundfile
import soxr

SILENCE = 1e-4  # -80 dB
session = onnxruntime.InferenceSession(sys.argv[1])
facts = session.get_modelmeta().custom_metadata_map
outputs = [one.name for one in session.get_outputs()]
classes, rate, n = json.loads(facts["classes"]), int(facts["sample_rate"]), int(facts["n_samples"])
thresholds, several = json.loads(facts["thresholds"]), facts["labels_a_clip"] == "several"
limits = np.array([thresholds.get(name, 0.0) for name in classes])
if facts["input"] != "audio":
    sys.exit(f"{sys.argv[1]}: takes features of {facts['features']}, this example gives audio")

for file in sys.argv[2:]:
    samples, found_rate = soundfile.read(file, dtype="float32", always_2d=True)
    wave = soxr.resample(samples.mean(axis=1), found_rate, rate)
    starts = list(range(0, max(len(wave) - n, 0) + 1, n))
    least = min(0.1 * n, 0.05 * rate)
    if len(wave) > n and len(wave) - starts[-1] - n > least:  # the last window ends at the end
        starts.append(len(wave) - n)
    windows = [np.pad(wave[s : s + n], (0, max(0, n - len(wave)))) for s in starts]
    found = session.run(outputs, {"audio": np.stack(windows).astype(np.float32)})
    heard = [np.abs(w - w.mean()).max() >= SILENCE for w in windows]
    if not any(heard):
        print(file, "(silence)", sep="\t")
        continue
    means = {name: table[heard].mean(0) for name, table in zip(outputs, found, strict=True)}
    scores, known = means["scores"], means.get("known", 1.0)  # of models with rules for unknown
    best = np.argsort(-scores)[:3]
    reached = scores >= limits
    is_unknown = known < 0.5 or not (reached.any() if several else reached[best[0]])
    answer = "(noise)" if known == 0 else "(unknown)" if is_unknown else classes[best[0]]
    print(file, answer, *(f"{classes[i]} {scores[i]:.4f}" for i in best), sep="\t")
