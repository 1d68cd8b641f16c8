"""Makes the graph on which :mod:`memory_store.minilm` runs: ``python -m memory_store.minilm_graph WEIGHTS GRAPH``.

A program of its own, because torch and its exporter take half a gigabyte and ten seconds, once.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

OPSET = 17


def make(weights: Path, graph: Path) -> None:
    """From the sentence-transformers folder `weights` to an ONNX file: token numbers, int64 (1, n), in; one vector of unit
    length, float32 (1, 384), out.

    Matrices and the table of words are int8 with a scale for each column. One of the eight bits stays free
    (``reduce_range``): processors without VNNI add products in 16 bits, which would overflow.
    """
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AutoModel

    class Sentence(torch.nn.Module):
        """The model with what follows it in sentence-transformers: the mean over the tokens, scaled to length 1."""

        def __init__(self) -> None:
            super().__init__()
            self.model = AutoModel.from_pretrained(
                weights, local_files_only=True, attn_implementation="eager"
            )

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.normalize(self.model(tokens).last_hidden_state.mean(dim=1), dim=1)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        exact, small = Path(folder, "exact.onnx"), Path(folder, "small.onnx")
        torch.onnx.export(
            Sentence().eval(),
            (torch.tensor([[101, 7592, 2088, 102]]),),  # any sentence
            str(exact),
            input_names=["tokens"],
            output_names=["vector"],
            dynamic_axes={"tokens": {1: "length"}},
            opset_version=OPSET,
            dynamo=False,  # the other exporter needs three more packages
        )
        quantize_dynamic(exact, small, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
        graph.parent.mkdir(parents=True, exist_ok=True)
        whole = graph.with_suffix(f".{os.getpid()}")
        shutil.copyfile(small, whole)
        os.replace(whole, graph)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    make(Path(sys.argv[1]), Path(sys.argv[2]))
