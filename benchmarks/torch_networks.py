"""The two networks in PyTorch, for comparison."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import nn


class Question(nn.Module):
    """The question's network."""

    def __init__(self) -> None:
        super().__init__()
        widths = [9, 16, 32, 64, 128, 256, 512]
        pairs = pairwise(widths)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm2d(w) for w in widths[1:6])
        self.dropout = nn.Dropout(0.25)
        self.first = nn.ConvTranspose2d(512, 256, 3, padding=1)
        self.up = nn.ModuleList(_up(a, b) for a, b in ((256, 128), (128, 64), (64, 32), (32, 16)))
        self.up6, self.up7 = _up(48, 8), _up(24, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From (batch, 9, rows, columns) to (batch, 1, rows, columns)."""
        skips = []
        for level, conv in enumerate(self.down):
            x = torch.relu(conv(x))
            skips.append(x)
            x = self.norms[level](x) if level < 5 else self.dropout(x)
        x = self.first(x)
        for up in self.up:
            x = up(x)
        x = self.up6(torch.cat([x, skips[1]], 1))
        return self.up7(torch.cat([x, skips[0]], 1))


def _up(inputs: int, outputs: int) -> nn.Module:
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)


class UNet(nn.Module):
    """A U-Net of depth 4 with batch normalization before each activation."""

    def __init__(self, filters: int = 32) -> None:
        super().__init__()
        widths = [filters * 2**level for level in range(4)]
        self.down = nn.ModuleList(_block(a, b) for a, b in pairwise([9, *widths]))
        self.bottom = _block(widths[-1], 2 * widths[-1])
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in reversed(widths))
        self.decode = nn.ModuleList(_block(2 * w, w) for w in reversed(widths))
        self.head = nn.Conv2d(filters, 1, 1)

    def in_order(self) -> Iterator[nn.Module]:
        """Its layers in the order in which they are applied."""
        yield from self.down.modules()
        yield from self.bottom.modules()
        for up, block in zip(self.up, self.decode, strict=True):
            yield from (up, *block.modules())
        yield self.head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From (batch, 9, rows, columns) to (batch, 1, rows, columns)."""
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
            x = nn.functional.max_pool2d(x, 2)
        x = self.bottom(x)
        for up, block in zip(self.up, self.decode, strict=True):
            x = block(torch.cat([skips.pop(), up(x)], 1))
        return self.head(x)


def _block(inputs: int, outputs: int) -> nn.Module:
    parts: list[nn.Module] = []
    for channels in (inputs, outputs):
        parts += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]
    return nn.Sequential(*parts)


NETWORKS = {"question": Question, "unet": UNet}
