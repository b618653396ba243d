"""Why an encoder-decoder with a linear head lacks some of the places that plans can name."""

from collections.abc import Mapping
from types import MappingProxyType

from normwise.graph.regions import BOTTLENECK, DECODER, ENCODER, HEAD
from normwise.norms.plan import DOWN, MERGE, POST, PRE, SKIP

MISSING_PLACES: Mapping[str, str] = MappingProxyType(
    {
        f"{HEAD}:{PRE}": "the head is linear",
        f"{HEAD}:{POST}": "the head is linear",
        f"{BOTTLENECK}:{DOWN}": "nothing is down-sampled after the bottleneck",
        f"{DECODER}:{DOWN}": "nothing is down-sampled in the decoder",
        f"{ENCODER}:{MERGE}": "the merges stand in the decoder",
        f"{BOTTLENECK}:{MERGE}": "the merges stand in the decoder",
        f"{BOTTLENECK}:{SKIP}": "the skips start in the encoder",
        f"{DECODER}:{SKIP}": "the skips start in the encoder",
    }
)
"""By `region:position`."""
