"""How the chunks of a Zarr may be packed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from normwise.errors import RasterError

# A codec of a file from a stranger may do anything: that of numcodecs named pickle runs code.
_CODECS = frozenset(
    {
        "bytes", "transpose", "sharding_indexed", "gzip", "zstd", "blosc", "crc32c", "zlib", "lz4",
        "bz2", "lzma", "delta", "shuffle", "fixedscaleoffset", "bitround", "quantize", "astype",
        "crc32", "adler32", "fletcher32", "packbits",
    }
)  # fmt: skip


def refuse_codecs(path: Path, array: Any) -> None:
    """Refuses an array before any of its chunks is unpacked by what is not known to be harmless.

    Args:
        path: The Zarr, for the message.
        array: One of its arrays.

    Raises:
        RasterError: It is packed in such a way.
    """
    metadata = array.metadata.to_dict()
    found = {
        name
        for key in ("codecs", "filters", "compressor")
        for name in _codec_names(json.loads(json.dumps(metadata.get(key), default=_plain)))
    }
    strange = sorted(name for name in found if name.removeprefix("numcodecs.") not in _CODECS)
    if strange:
        raise RasterError(
            f"{path}: its chunks are packed by {', '.join(strange)}, which is not read. Write it "
            "again with zstd, blosc or gzip."
        )


def _plain(codec: Any) -> Any:
    return codec.to_dict() if hasattr(codec, "to_dict") else codec.get_config()


def _codec_names(codecs: Any) -> Iterator[str]:
    for codec in codecs if isinstance(codecs, (list, tuple)) else [codecs] if codecs else []:
        yield str(codec.get("name", codec.get("id")))
        settings = codec.get("configuration") or {}
        for key in ("codecs", "index_codecs"):
            yield from _codec_names(settings.get(key))
