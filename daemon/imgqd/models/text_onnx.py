"""The text tower in ONNX Runtime: no torch in the daemon, and one call for a query in place of a hundred,
each of which would wait for the interpreter beside threads that index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imgqd.models.card import Card
from imgqd.models.tokens import clip_tokens


class OnnxTexts:
    """A graph of `text_graph.write`, on one core; safe to be called by several threads."""

    def __init__(self, card: Card, graph: Path) -> None:
        """Raises what ONNX Runtime raises where the file is not sound."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(graph), options, providers=["CPUExecutionProvider"]
        )
        self._tokens = clip_tokens(card.context_length)
        self.dim = card.dim

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (n, dim), unit norm."""
        if not texts:
            return np.empty((0, self.dim), np.float32)
        found: np.ndarray = self._session.run(None, {"tokens": self._tokens(texts)})[0]
        return found
