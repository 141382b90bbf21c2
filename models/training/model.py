"""The verifier: MiniLM over both questions at once, first vector and mean, a small head."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertModel

LONGEST = 128
"""Tokens of a pair, marks included. A longer pair is not trained on, and not judged."""


class Verifier(nn.Module):
    """Says with a logit whether two questions have the same answer."""

    def __init__(self, encoder: BertModel) -> None:
        super().__init__()
        self.encoder = encoder
        width = encoder.config.hidden_size
        self.head = nn.Sequential(nn.Linear(2 * width, width), nn.Tanh(), nn.Linear(width, 1))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Return one logit a pair."""
        states = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        mean = (states * mask).sum(1) / mask.sum(1)
        logit: Tensor = self.head(torch.cat([states[:, 0], mean], dim=-1)).squeeze(-1)
        return logit


def fresh(weights: Path, dropout: float) -> Verifier:
    """Return a verifier on the weights of all-MiniLM-L6-v2, its head random."""
    config = BertConfig.from_pretrained(weights)
    config.hidden_dropout_prob = dropout
    config.attention_probs_dropout_prob = 0.0
    encoder = BertModel.from_pretrained(weights, config=config, add_pooling_layer=False)
    return Verifier(encoder)


def loaded(weights: Path, checkpoint: Path) -> Verifier:
    """Return a trained verifier, ready to judge."""
    config = BertConfig.from_pretrained(weights)
    verifier = Verifier(BertModel(config, add_pooling_layer=False))
    verifier.load_state_dict(torch.load(checkpoint, weights_only=True)["weights"])
    return verifier.eval()


def tokenizer(weights: Path) -> Tokenizer:
    """Return the tokenizer, which neither pads nor cuts."""
    found = Tokenizer.from_file(str(weights / "tokenizer.json"))
    found.no_padding()
    found.no_truncation()
    return found
