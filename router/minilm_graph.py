"""all-MiniLM-L6-v2 as an ONNX graph of fused operators, from its weights: a BERT of 6 layers, 12 heads, width 384.

The graph begins after the embedding tables (a look-up, done by whoever runs it) and ends before the mean over tokens.
Knows nothing of texts.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from router.onnx_graph import Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

LAYERS, HEADS, WIDTH = 6, 12, 384
_EPSILON = 1e-12


def model(weights: "Mapping[str, NDArray[Any]]") -> bytes:
    """The ONNX model of Hugging Face's BERT weights, float32.

    Inputs: `tokens` [B, T, 384], each row the sum of its three embeddings; `lengths` int32 [B], the tokens of each text
    (padding is on the right). Output 0: the last hidden states [B, T, 384]; rows past a text's length mean nothing.
    Raises `KeyError` for a weight that is not there.
    """
    import numpy as np

    graph = Graph("all-MiniLM-L6-v2")
    lengths = graph.input("lengths", "int32", ["B"])

    def weight(name: str) -> str:
        return graph.weight(weights[name])

    def norm(name: str) -> tuple[str, str]:
        return weight(f"{name}.LayerNorm.weight"), weight(f"{name}.LayerNorm.bias")

    def dense(x: str, name: str) -> str:
        """Without its bias: that is fused with what follows."""
        return graph.node("MatMul", x, graph.weight(weights[f"{name}.weight"].T))

    x = graph.input("tokens", "float32", ["B", "T", WIDTH])
    x = graph.node("LayerNormalization", x, *norm("embeddings"), axis=-1, epsilon=_EPSILON)
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        heads = [f"{at}.attention.self.{part}" for part in ("query", "key", "value")]
        projection = graph.weight(
            np.concatenate([weights[f"{head}.weight"].T for head in heads], axis=1)
        )  # [384, 3·384]
        bias = graph.weight(np.concatenate([weights[f"{head}.bias"] for head in heads]))
        attended = graph.node("Attention", x, projection, bias, lengths, fused=True, num_heads=HEADS)
        x = graph.node(
            "SkipLayerNormalization",
            dense(attended, f"{at}.attention.output.dense"),
            x,
            *norm(f"{at}.attention.output"),
            weight(f"{at}.attention.output.dense.bias"),
            fused=True,
            epsilon=_EPSILON,
        )
        wide = dense(x, f"{at}.intermediate.dense")  # [B, T, 1536]
        wide = graph.node("BiasGelu", wide, weight(f"{at}.intermediate.dense.bias"), fused=True)
        x = graph.node(
            "SkipLayerNormalization",
            dense(wide, f"{at}.output.dense"),
            x,
            *norm(f"{at}.output"),
            weight(f"{at}.output.dense.bias"),
            fused=True,
            epsilon=_EPSILON,
        )
    graph.output(x, "float32", ["B", "T", WIDTH])
    return graph.model()
