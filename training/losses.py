"""What training makes small.

`true` and `unsure` tell of each pair whether it belongs together, or nobody knows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def contrast(scores: Tensor, true: Tensor, unsure: Tensor) -> Tensor:
    """CLIP's loss with several right answers: the positives of a row or column share it."""
    scores = scores.masked_fill(unsure & ~true, -1e4)
    return (_shared(scores, true) + _shared(scores.T, true.T)) / 2


def _shared(scores: Tensor, true: Tensor) -> Tensor:
    asked = true.any(1)  # a caption of others may be true of nothing here
    share = true[asked] / true[asked].sum(1, keepdim=True)
    return -(F.log_softmax(scores[asked], 1) * share).sum() / max(1, len(share))


class Anchors(nn.Module):
    """Free vectors, one for each thing, scenery and colour, which pictures and words are drawn to.

    A batch holds some of the things; against the anchors, each picture and caption is told from all
    of them at every step. A unit vector that must be near its thing's anchor among things, and near
    its scenery's among sceneries, comes to be something like their sum. The anchors are left behind
    when training ends (proxies: Movshovitz-Attias and others, No Fuss Distance Metric Learning
    using Proxies, 2017).
    """

    def __init__(self, counts: Sequence[int], dim: int) -> None:
        super().__init__()
        self.sets = nn.ParameterList([torch.randn(count, dim) * 0.02 for count in counts])

    def forward(self, vectors: Tensor, truths: Sequence[Tensor], scale: Tensor) -> Tensor:
        """`truths`, for each set (vectors, count): what each is of; a row of none asks for nothing."""
        scores = [scale * vectors @ F.normalize(anchors, dim=-1).T for anchors in self.sets]
        return torch.stack([_shared(*pair) for pair in zip(scores, truths, strict=True)]).sum()
