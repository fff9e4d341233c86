"""The cluster file of the docs is one that Ray accepts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "docs" / "cluster.yaml"


def test_the_cluster_file_has_the_form_that_ray_asks_for() -> None:
    ray = pytest.importorskip("ray")
    import jsonschema
    import yaml

    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    found = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    jsonschema.validate(found, json.loads(schema.read_text(encoding="utf-8")))
    assert found["head_node_type"] in found["available_node_types"]
