"""What torch-fidelity does with images before a network that was trained on photographs of one size."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.transforms.functional import normalize

from ganlab.pixels import to_uint8

RESIZE = "bilinear as in TensorFlow 1, from 8 bits; grey repeated to RGB"  # for a card


class Prepared(nn.Module):
    """A net of images [n, 3, side, side], normalised by the mean and deviation of its training (of 0 ... 1), as one of images
    [n, 1 or 3, H, W] in [-1, 1], which are rounded to 8 bits, in
    float32 whatever the run is in. It has no classes, so its logits [n, 1] are 0."""

    def __init__(self, net: nn.Module, side: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.net, self.side, self.mean, self.std = net.float(), side, list(mean), list(std)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x as resized

        x = resized(to_uint8(x).expand(-1, 3, -1, -1).float(), size=(self.side, self.side), align_corners=False)
        seen = self.net(normalize(x / 255, self.mean, self.std))
        return seen, seen.new_zeros(len(seen), 1)
