"""How clusters that were found without labels agree with the labels.

semisonic pretrain path/to/esc10 --objective simclr --encoder synth -o runs/encoder
semisonic embed runs/encoder path/to/esc10 -o runs/index
python benchmarks/clusters.py runs/index runs/index-animals -o benchmarks/results/clusters.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from measuring import head
from semisonic.core.files import write_json
from semisonic.labeling.clusters import agreement, find_clusters
from semisonic.labeling.index import EmbeddingIndex

SEEDS = (0, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("index", type=Path, nargs="+", help="indexes of labelled recordings")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    sets = {}
    for folder in options.index:
        index = EmbeddingIndex.open(folder)
        rows = []
        for how in (str(len(index.clips.classes)), "auto"):
            for seed in SEEDS:
                found = find_clusters(index.vectors, how, seed=seed)
                told = agreement(found.number, index.clips)
                assert told is not None, "the index has no labels"
                rows.append(
                    {
                        "asked": how,
                        "seed": seed,
                        "clusters": found.count,
                        "purity": round(told.purity, 4),
                        "adjusted_mutual_information": round(told.mutual, 4),
                    }
                )
                print(folder.name, rows[-1], flush=True)
        model = index.about["model"]
        sets[index.clips.name] = {
            "network": model["network"],
            "published": bool(model["made"].get("published")),
            "rows_of_index": len(index),
            "classes": len(index.clips.classes),
            "rows": rows,
        }
    record = {**head("python benchmarks/clusters.py INDEXES -o FILE", list(SEEDS)), "sets": sets}
    write_json(options.output, record)


if __name__ == "__main__":
    main()
