"""Writes a BERT encoder as an ONNX graph, straight from its weights. No exporter is involved.

The same weights give the same bytes. Operators are those of ONNX opset 20, and for weights kept in
blocks of 8-bit numbers `MatMulNBits` of ONNX Runtime (`com.microsoft`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array: TypeAlias = NDArray[Any]
Weights: TypeAlias = Mapping[str, NDArray[np.float32]]
"""Tensors by the names that Hugging Face's `BertModel` gives them."""

EPSILON = 1e-12
"""Of the layer normalisations, from the model's config.json."""
NEVER = np.array(-1e9, np.float32)
"""Added to what a token may not look at, before the softmax."""


class Graph:
    """A graph being written. Every method returns the name of what it computes."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: Array) -> str:
        """Keep a tensor under a name, once."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def integers(self, *values: int) -> str:
        """Keep a list of integers, such as a shape."""
        return self.constant("i" + "_".join(map(str, values)), np.array(values, np.int64))

    def node(self, operator: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        """Compute one output."""
        return self.nodes(operator, *inputs, outs=[out or f"t{len(self._nodes)}"], **attributes)[0]

    def nodes(
        self, operator: str, *inputs: str, outs: Sequence[str], **attributes: Any
    ) -> Sequence[str]:
        """Compute several outputs."""
        self._nodes.append(helper.make_node(operator, inputs, outs, **attributes))
        return outs

    def model(
        self,
        name: str,
        inputs: Sequence[str],
        outputs: Mapping[str, Sequence[int | str]],
        about: Mapping[str, str],
    ) -> onnx.ModelProto:
        """Return the model. Inputs are of shape [batch, tokens], outputs are of float32."""
        graph = helper.make_graph(
            self._nodes,
            name,
            [
                helper.make_tensor_value_info(it, TensorProto.INT64, ["batch", "tokens"])
                for it in inputs
            ],
            [
                helper.make_tensor_value_info(it, TensorProto.FLOAT, shape)
                for it, shape in outputs.items()
            ],
            list(self._constants.values()),
        )
        model = helper.make_model(
            graph,
            producer_name="askonce",
            ir_version=10,
            opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)],
        )
        helper.set_model_props(model, dict(about))
        onnx.checker.check_model(model)
        return model


Linear: TypeAlias = Callable[[Graph, str, str, Array, Array], str]
"""Writes `x @ weight + bias`: graph, x, a name, weight of shape [inputs, outputs], bias."""


def linear_fp32(graph: Graph, x: str, name: str, weight: Array, bias: Array) -> str:
    """Keep weights as they are."""
    product = graph.node("MatMul", x, graph.constant(f"{name}.weight", weight))
    return graph.node("Add", product, graph.constant(f"{name}.bias", bias))


def linear_fp16(graph: Graph, x: str, name: str, weight: Array, bias: Array) -> str:
    """Keep weights in 16 bits. ONNX Runtime makes them 32 bits when it opens the model."""
    kept = graph.constant(f"{name}.weight", weight.astype(np.float16))
    product = graph.node("MatMul", x, graph.node("Cast", kept, to=TensorProto.FLOAT))
    return graph.node("Add", product, graph.constant(f"{name}.bias", bias))


def linear_int8(graph: Graph, x: str, name: str, weight: Array, bias: Array) -> str:
    """Keep weights in 8 bits with one scale for each output."""
    scale = np.abs(weight).max(axis=0) / 127
    kept = graph.constant(f"{name}.weight", np.round(weight / scale).astype(np.int8))
    scales = graph.constant(f"{name}.scale", scale.astype(np.float32))
    product = graph.node("MatMul", x, graph.node("DequantizeLinear", kept, scales, axis=1))
    return graph.node("Add", product, graph.constant(f"{name}.bias", bias))


def linear_blocks(block: int, accuracy: int = 4) -> Linear:
    """Keep weights in 8 bits with one scale for each `block` inputs of each output.

    Accuracy 4 lets ONNX Runtime multiply 8-bit numbers: it rounds each token's own numbers to 8
    bits too, again with a scale for each block, so that no token changes what another becomes.
    """

    def linear(graph: Graph, x: str, name: str, weight: Array, bias: Array) -> str:
        inputs, outputs = weight.shape
        blocks = weight.T.reshape(outputs, inputs // block, block)
        scale = np.abs(blocks).max(axis=-1, keepdims=True) / 127
        kept = (np.round(blocks / scale) + 128).astype(np.uint8)
        return graph.node(
            "MatMulNBits",
            x,
            graph.constant(f"{name}.weight", kept),
            graph.constant(f"{name}.scale", scale[..., 0].astype(np.float32)),
            "",
            "",
            graph.constant(f"{name}.bias", bias),
            domain="com.microsoft",
            K=inputs,
            N=outputs,
            bits=8,
            block_size=block,
            accuracy_level=accuracy,
        )

    return linear


Table: TypeAlias = Callable[[Graph, str, str, Array], str]
"""Looks rows up: graph, ids, a name, the table."""


def table_fp32(graph: Graph, ids: str, name: str, rows: Array) -> str:
    """Keep rows as they are."""
    return graph.node("Gather", graph.constant(name, rows), ids)


def table_fp16(graph: Graph, ids: str, name: str, rows: Array) -> str:
    """Keep rows in 16 bits."""
    found = graph.node("Gather", graph.constant(name, rows.astype(np.float16)), ids)
    return graph.node("Cast", found, to=TensorProto.FLOAT)


def table_int8(graph: Graph, ids: str, name: str, rows: Array) -> str:
    """Keep rows in 8 bits, each with its scale."""
    scale = np.abs(rows).max(axis=1, keepdims=True) / 127
    scale[scale == 0] = 1
    kept = graph.constant(name, np.round(rows / scale).astype(np.int8))
    found = graph.node("Cast", graph.node("Gather", kept, ids), to=TensorProto.FLOAT)
    scales = graph.node("Gather", graph.constant(f"{name}.scale", scale.astype(np.float32)), ids)
    return graph.node("Mul", found, scales)


def encoder(
    graph: Graph, weights: Weights, *, heads: int, linear: Linear, table: Table, types: str = ""
) -> str:
    """Write the encoder over `input_ids` and `attention_mask`; return the last hidden states.

    `types` names the input that tells the two texts of a pair apart; without it there is one text.
    Shape of what is returned: [batch, tokens, width].
    """
    return _Encoder(graph, weights, heads, linear).states(table, types)


@dataclass(frozen=True)
class _Encoder:
    graph: Graph
    weights: Weights
    heads: int
    linear: Linear

    def states(self, table: Table, types: str) -> str:
        node, constant = self.graph.node, self.graph.constant
        seen = node("Cast", "attention_mask", to=TensorProto.FLOAT, out="seen")
        unseen = node("Sub", constant("one", np.array(1, np.float32)), seen)
        unseen = node("Mul", unseen, constant("never", NEVER))
        unseen = node("Unsqueeze", unseen, self.graph.integers(1, 2))
        states = self._embeddings(table, types)
        layer = 0
        while f"encoder.layer.{layer}.output.dense.weight" in self.weights:
            states = self._layer(f"encoder.layer.{layer}", states, unseen)
            layer += 1
        return states

    def _embeddings(self, table: Table, types: str) -> str:
        node, integers = self.graph.node, self.graph.integers
        words = self.weights["embeddings.word_embeddings.weight"]
        places = self.weights["embeddings.position_embeddings.weight"]
        kinds = self.weights["embeddings.token_type_embeddings.weight"]
        states = table(self.graph, "input_ids", "words", words)
        if types:
            states = node("Add", states, table_fp32(self.graph, types, "kinds", kinds))
        else:
            places = places + kinds[0]
        length = node("Shape", "input_ids", start=1, end=2)
        kept = self.graph.constant("places", places)
        first = node("Slice", kept, integers(0), length, integers(0))
        return self._normal("embeddings.LayerNorm", node("Add", states, first))

    def _layer(self, at: str, states: str, unseen: str) -> str:
        node = self.graph.node
        mixed = self._attention(f"{at}.attention.self", states, unseen)
        mixed = self._dense(f"{at}.attention.output.dense", mixed)
        states = self._normal(f"{at}.attention.output.LayerNorm", node("Add", mixed, states))
        inner = node("Gelu", self._dense(f"{at}.intermediate.dense", states))
        inner = self._dense(f"{at}.output.dense", inner)
        return self._normal(f"{at}.output.LayerNorm", node("Add", inner, states))

    def _attention(self, at: str, states: str, unseen: str) -> str:
        node, integers = self.graph.node, self.graph.integers
        width = self.weights[f"{at}.query.bias"].shape[0]
        size = width // self.heads
        # The scale of the scores is put into the queries: a multiplication less for each layer.
        scales = {"query": np.float32(size**-0.5), "key": np.float32(1), "value": np.float32(1)}
        kernels = [self.weights[f"{at}.{it}.weight"].T * scale for it, scale in scales.items()]
        biases = [self.weights[f"{at}.{it}.bias"] * scale for it, scale in scales.items()]
        kernel, bias = np.concatenate(kernels, axis=1), np.concatenate(biases)
        together = self.linear(self.graph, states, at, kernel, bias)
        outs = [f"{at}.{it}" for it in scales]
        parts = self.graph.nodes("Split", together, outs=outs, axis=-1, num_outputs=3)
        query, key, value = (
            node("Reshape", part, integers(0, 0, self.heads, size)) for part in parts
        )
        query = node("Transpose", query, perm=[0, 2, 1, 3])
        key = node("Transpose", key, perm=[0, 2, 3, 1])
        value = node("Transpose", value, perm=[0, 2, 1, 3])
        scores = node("Add", node("MatMul", query, key), unseen)
        mixed = node("MatMul", node("Softmax", scores, axis=-1), value)
        mixed = node("Transpose", mixed, perm=[0, 2, 1, 3])
        return node("Reshape", mixed, integers(0, 0, width))

    def _dense(self, at: str, x: str) -> str:
        kernel, bias = self.weights[f"{at}.weight"].T, self.weights[f"{at}.bias"]
        return self.linear(self.graph, x, at, kernel, bias)

    def _normal(self, at: str, x: str) -> str:
        scale = self.graph.constant(f"{at}.weight", self.weights[f"{at}.weight"])
        bias = self.graph.constant(f"{at}.bias", self.weights[f"{at}.bias"])
        return self.graph.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=EPSILON)
