"""What must not happen before the page answers: a start loads no model library and leaves its work to `warm_up`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

BUILD = """
import sys
from pathlib import Path
import app
from rlm_core.engine import RLMEngine
from rlm_core.jobs import Jobs
from rlm_core.security import Access
from rlm_core.settings import Settings
folder = Path(sys.argv[1])
engine = RLMEngine(Settings(), data_dir=folder)
engine.store.mark_interrupted()
app.build(engine, Jobs(engine), Access.loopback(host="127.0.0.1", port=8000), folder / "settings.json")
heavy = ("torch", "transformers", "sentence_transformers", "tokenizers", "chromadb", "xllamacpp", "ollama", "openai",
         "pypdfium2", "openpyxl", "docx", "pptx", "bs4", "segno", "cryptography", "RestrictedPython")
print([name for name in heavy if name in sys.modules])
"""


def test_building_the_whole_app_loads_no_model_or_document_library(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
