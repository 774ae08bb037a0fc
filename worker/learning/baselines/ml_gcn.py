"""ML-GCN (Chen et al., CVPR 2019): a graph of co-occurring labels makes the classifiers.

Differences: CLIP's text features in place of GloVe vectors, and Kizu's pseudo-labels, since the
paper learns from labels alone.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from worker.learning.aligner import PRIOR_LOGIT, Alignment, Head
from worker.learning.backbone import ImageFeatures
from worker.learning.baselines.plain import plain
from worker.learning.method import Method
from worker.learning.pseudo_labeling import calibrated_class_aware

THRESHOLD = 0.4
REWEIGHT = 0.25
HIDDEN = 2  # times the width of the features, as 1024 to 2048 in the paper


def label_graph(labels: NDArray[np.int8]) -> Tensor:
    """Normalised adjacency (K, K) from labels (N, K): equations 7 to 9 of the paper.

    An edge where one label's share among photos with the other exceeds 0.4; neighbours together
    weigh a quarter, so that features are not smoothed away.
    """
    present = (labels == 1).astype(float)
    conditional = (present.T @ present) / present.sum(axis=0).clip(min=1)[:, None]
    edges = (conditional >= THRESHOLD).astype(float)
    np.fill_diagonal(edges, 0)
    edges = edges * REWEIGHT / (edges.sum(axis=0, keepdims=True) + 1e-6) + np.eye(len(edges))
    scale = edges.sum(axis=1) ** -0.5
    return torch.from_numpy((edges * scale).T * scale).float()


class GraphHead(Head):
    """Two graph convolutions turn texts (K, D) into classifiers (K, D) of the pooled feature."""

    graph: Tensor

    def __init__(self, text: Tensor, graph: Tensor) -> None:
        super().__init__(text)
        dim = text.shape[1]
        self.register_buffer("graph", graph)
        self.first = nn.Linear(dim, HIDDEN * dim, bias=False)
        self.second = nn.Linear(HIDDEN * dim, dim, bias=False)
        self.bias = nn.Parameter(torch.full((len(text),), PRIOR_LOGIT))

    def forward(self, features: ImageFeatures) -> Alignment:
        pooled = features.pooled.to(self.text)
        hidden = F.leaky_relu(self.graph @ self.first(self.text), 0.2)
        classifiers = self.graph @ self.second(hidden)
        return plain(pooled @ classifiers.T + self.bias, F.normalize(pooled, dim=-1))


def graph_head(text: Tensor, n_contexts: int, labels: NDArray[np.int8]) -> Head:
    return GraphHead(text, label_graph(labels))


ML_GCN = Method(
    name="ml-gcn",
    source="Chen et al., CVPR 2019, arXiv 1904.03582",
    head=graph_head,
    rule=calibrated_class_aware,
    measures_confidence=True,
)
