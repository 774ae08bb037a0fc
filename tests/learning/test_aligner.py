"""Label-specific features: where they look, and that labels are interchangeable."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.learning.marks import SPECS, backbone
from worker.learning.aligner import PRIOR_LOGIT, Aligner, LabelSpec, Voice, text_features, weigh
from worker.learning.backbone import ImageFeatures
from worker.learning.baselines.plain import plain

DIM = 16


def features(seed: int = 0) -> ImageFeatures:
    draw = torch.Generator().manual_seed(seed)
    return ImageFeatures(
        tokens=torch.randn(2, 9, DIM, generator=draw), pooled=torch.randn(2, DIM, generator=draw)
    )


def test_attention_finds_the_token_that_speaks_of_the_label():
    text = F.normalize(torch.randn(3, DIM, generator=torch.Generator().manual_seed(1)), dim=-1)
    tokens = F.normalize(features().tokens, dim=-1)
    tokens[0, 4] = text[1]
    attention = Aligner(text, 1).attention(tokens)
    assert torch.allclose(attention.sum(dim=1), torch.ones(2, 3))
    assert attention[0, :, 1].argmax() == 4


def test_a_label_present_in_a_patch_scores_higher():
    text = F.normalize(torch.randn(1, DIM, generator=torch.Generator().manual_seed(1)), dim=-1)
    seen = features()
    seen.tokens[0, 3] = 5 * text[0]
    logits = Aligner(text, 1)(seen).logits
    assert logits[0, 0] > logits[1, 0] + 5


@pytest.mark.parametrize(("bf16", "within"), [(False, 1e-4), (True, 0.2)])
def test_logits_are_those_of_the_formula_written_out(bf16, within):
    draw = torch.Generator().manual_seed(3)
    head = Aligner(torch.randn(3, DIM, generator=draw), 2)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=draw))
    seen = features()
    tokens = F.normalize(seen.tokens + head.adapter(seen.tokens), dim=-1)  # (B, L, D)
    weights = head.attention(tokens)  # (B, L, K)
    expected = head.align(F.normalize(torch.einsum("blk,bld->bkd", weights, tokens), dim=-1))
    assert torch.allclose(head(seen.at_precision(bf16)).logits, expected, atol=within)


def test_permuting_labels_permutes_answers():
    text, order = torch.randn(4, DIM), torch.tensor([2, 0, 3, 1])
    straight, turned = Aligner(text, 2)(features()), Aligner(text[order], 2)(features())
    assert torch.allclose(straight.logits[:, order], turned.logits, atol=1e-5)
    assert torch.allclose(straight.context_logits, turned.context_logits, atol=1e-5)


def test_shapes():
    seen = Aligner(torch.randn(4, DIM), 2)(features())
    assert seen.logits.shape == (2, 4)
    assert seen.context_logits.shape == (2, 2)
    assert seen.label_features.shape == (2, 4, DIM)
    assert seen.pooled.shape == (2, DIM)


def test_voices_count_as_much_as_their_weights_say():
    seen = features()
    alone = Aligner(torch.randn(3, DIM), 1).eval()
    before = alone(seen).logits
    heard = alone.hear(tuple(Voice)).eval()
    assert heard.voices == tuple(Voice)
    assert torch.allclose(heard(seen).logits, before)  # until they are weighed
    heard.whole.weight.data[1] = F.layer_norm(seen.tokens[0].mean(dim=0), (DIM,))
    said = heard(seen).voices.detach()
    assert said.shape == (2, 3, 3)
    assert torch.allclose(said[..., 0], before)
    assert said[0, 1, 1] == pytest.approx(DIM + PRIOR_LOGIT, rel=1e-3)
    assert (said[:, [0, 2], 1] == PRIOR_LOGIT).all()
    weigh(heard, np.array([0.5, 0.2, 0.3]))
    expected = 0.5 * said[..., 0] + 0.2 * said[..., 1] + 0.3 * said[..., 2]
    assert torch.allclose(heard(seen).logits, expected, atol=1e-5)


def test_what_a_head_hears_without_voices_is_its_logits():
    seen = plain(torch.tensor([[1.0, -1.0]]), torch.ones(1, DIM))
    assert torch.equal(seen.said, seen.logits[..., None])


def test_a_label_without_prompts_has_a_direction_of_its_own():
    model = backbone()
    text = text_features([*SPECS, LabelSpec("other")], model)
    assert text.shape == (4, model.embed_dim)
    assert torch.allclose(text.norm(dim=1), torch.ones(4), atol=1e-5)
    assert torch.equal(text[2], text_features([SPECS[2]], model)[0])
    assert not torch.allclose(text[2], text[3])
