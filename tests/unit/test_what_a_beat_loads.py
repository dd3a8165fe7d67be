"""A beat stays small: it knows tasks by name only, and loads no provider code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AS_CELERY_DOES = """
import json, sys
from workers import app
app.loader.init_worker()
app.finalize()
import beat.scheduler
print(json.dumps([sorted(app.conf.imports), sorted({name.split(".")[0] for name in sys.modules})]))
"""


def test_a_beat_loads_neither_tasks_nor_providers_nor_the_orm(env: dict[str, str]) -> None:
    said = subprocess.run(
        [sys.executable, "-c", AS_CELERY_DOES], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    imports, loaded = json.loads(said)
    assert imports == []
    assert {"beat", "workers"} <= set(loaded)
    assert not {"tasks", "gateways", "requests", "urllib3", "sqlalchemy", "PIL", "jinja2"} & set(loaded)
