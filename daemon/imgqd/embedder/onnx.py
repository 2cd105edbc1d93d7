"""The image tower in ONNX Runtime: f32 at the speed of its own kernels, and no torch in memory."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from imgqd.embedder.tower import OutOfMemory

OPSET = 17
# Protocol buffers end there; a larger tower wants a GPU anyway.
MOST_BYTES = 1_900_000_000


def write_graph(whole: Any, side: tuple[int, int], place: Path) -> None:
    """Writes the graph of a `WholeTower`, from uint8 pixels to unit vectors, beside and then renamed.

    side: height and width. Raises what torch's exporter raises, and OSError.
    """
    import torch

    beside = place.with_name(f".{place.name}.{os.getpid()}")
    example = torch.zeros((2, *side, 3), dtype=torch.uint8)
    dynamic = {"pixels": {0: "pictures"}, "vectors": {0: "pictures"}}
    # The fused attention of torch's inference has no counterpart there.
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                whole,
                (example,),
                str(beside),
                dynamo=False,
                input_names=["pixels"],
                output_names=["vectors"],
                dynamic_axes=dynamic,
                opset_version=OPSET,
            )
        beside.replace(place)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        beside.unlink(missing_ok=True)


class OnnxTower:
    """A graph of `write_graph` on the CPU."""

    device = "cpu"
    precision = "f32"
    engine = "onnxruntime"

    def __init__(self, graph: Path, batch: int, threads: int) -> None:
        """Raises what ONNX Runtime raises where the file is not sound."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # A thread that spins takes its core from a decoder.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(graph), options, providers=["CPUExecutionProvider"]
        )
        self.dim = int(self._session.get_outputs()[0].shape[1])
        self.batch = batch
        self.trouble: str | None = None

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (n, height, width, 3) to float32 (n, dim), unit norm. Raises OutOfMemory."""
        try:
            found: np.ndarray = self._session.run(None, {"pixels": pixels})[0]
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
            raise OutOfMemory from error
        return found


def _is_out_of_memory(error: Exception) -> bool:
    said = str(error)
    return (
        isinstance(error, MemoryError)
        or "Failed to allocate memory" in said
        or "std::bad_alloc" in said
    )
