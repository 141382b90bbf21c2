"""What turns texts into vectors: a model on this machine, one behind an address, or a function."""

from __future__ import annotations

from askonce.embedders.endpoint import Endpoint
from askonce.embedders.function import Function
from askonce.embedders.local import Local
from askonce.embedders.remembering import Remembering
from askonce.embedders.vectors import EmbedderError

__all__ = ["EmbedderError", "Endpoint", "Function", "Local", "Remembering"]
