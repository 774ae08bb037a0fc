"""The decoder's attention is that of PyTorch, whose keys and values it does not write out."""

import torch
from torch import nn

from worker.learning.decoder import HEADS, Attention, Decoder

DIM = 16


def test_attention_is_that_of_multi_head_attention():
    own, known = Attention(DIM).eval(), nn.MultiheadAttention(DIM, HEADS, batch_first=True).eval()
    with torch.no_grad():
        own.projections.bias.normal_()
        own.out.bias.normal_()
        known.in_proj_weight.copy_(own.projections.weight)
        known.in_proj_bias.copy_(own.projections.bias)
        known.out_proj.load_state_dict(own.out.state_dict())
        queries, tokens = torch.randn(3, DIM), torch.randn(2, 9, DIM)
        expected, _ = known(queries.expand(2, -1, -1), tokens, tokens)
        assert torch.allclose(own(queries, tokens), expected, atol=1e-5)


def test_each_label_learns_from_the_token_that_shows_it():
    torch.manual_seed(0)
    text, tokens = torch.randn(2, DIM), torch.randn(64, 9, DIM)
    shown = torch.randint(0, 2, (64, 2)).float()
    tokens[:, 3] += 4 * shown @ text
    decoder = Decoder(2, DIM, -2.0)
    optimizer = torch.optim.AdamW(decoder.parameters(), 3e-3)
    assert decoder(tokens, text).shape == (64, 2)
    for _ in range(150):
        loss = nn.functional.binary_cross_entropy_with_logits(decoder(tokens, text), shown)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
