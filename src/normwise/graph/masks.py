"""Which tensors carry a mask: of the steps of a series, those that hold nothing.

`Masking` and `Embedding(mask_zero=True)` make one. It goes on with the tensor through layers that
pass masks on, and is lost at the first one that doesn't; raw ops never do. What a layer of a user's
own class does isn't known: `passes_mask` is sure of what it says, `masked` is on the safe side.
"""

from collections.abc import Mapping, Sequence

from normwise.graph.catalogue import Role, role_of
from normwise.graph.graph import Graph, Node, Tensor, tensors_in
from normwise.graph.pixelwise import is_known

_ROLES = frozenset({Role.PASS, Role.ACTIVATION, Role.NORM, Role.MERGE})
_LAYERS = frozenset(
    {"Dense", "Rescaling", "TimeDistributed"}
    | {"MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention"}
)
_OF_QUERIES = frozenset({"Attention", "AdditiveAttention"})
"""They read queries, values and keys in one list, and pass on the mask of the queries."""
_RECURRENT = frozenset({"LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional"}) | {
    f"ConvLSTM{rank}D" for rank in (1, 2, 3)
}


def makes_mask(node: Node) -> bool:
    """Whether a call tells which steps hold nothing."""
    return node.class_name == "Masking" or node.config.get("mask_zero") is True


def passes_mask(node: Node) -> bool:
    """Whether what a call makes surely carries the mask of what it reads."""
    if node.is_op or not is_known(node) or node.class_name == "RMSNormalization":
        return False
    if node.class_name in _RECURRENT:
        inner = node.config.get("layer")
        config = inner.get("config") if isinstance(inner, Mapping) else node.config
        return isinstance(config, Mapping) and config.get("return_sequences") is True
    return node.class_name in _LAYERS or role_of(node) in _ROLES


def masked(graph: Graph) -> Sequence[bool]:
    """For each node whether what it makes carries a mask of steps, or may.

    It may where a layer of a user's own class reads one.

    Args:
        graph: A graph without nested models.
    """
    if _MASKED not in graph.memo:
        found: list[bool] = []
        for node in graph.nodes:
            carries = passes_mask(node) and _reads_mask(node, found)
            found.append(makes_mask(node) or carries or _may_carry(node, found))
        graph.memo[_MASKED] = tuple(found)
    known: Sequence[bool] = graph.memo[_MASKED]
    return known


_MASKED = "whether what nodes make carries a mask"


def _reads_mask(node: Node, found: Sequence[bool]) -> bool:
    """Whether a call is given a mask, or what it reads first carries one."""
    if isinstance(node.kwargs.get("mask"), Tensor):
        return True
    first = tuple(tensors_in(node.args[:1])) or node.inputs[:1]
    read = [found[tensor.node] for tensor in first]
    if node.class_name in _OF_QUERIES:
        return read[:1] == [True]
    # A sum with what has no mask has none; what is joined with it has one.
    return any(read) if node.class_name == "Concatenate" else bool(read) and all(read)


def _may_carry(node: Node, found: Sequence[bool]) -> bool:
    """Whether a layer of a user's own class is given a mask, or reads what carries one."""
    if is_known(node):
        return False
    given = isinstance(node.kwargs.get("mask"), Tensor)
    return given or any(found[tensor.node] for tensor in node.inputs)
