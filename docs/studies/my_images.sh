#!/usr/bin/env bash
# Does ADA help with 200 pictures of one class (3 of CIFAR-10: cats), scored against 2,000 others of that class? 3 seeds each, resumable.
#   ganlab features data=cifar10 && docs/studies/my_images.sh PICTURES && ganlab compare runs/sweeps/my_images-*
# PICTURES: where they go. SOURCE: CIFAR-10, if not to be downloaded. IMAGES, WIDTH, D_WIDTH, GAMMA (of R1), SPEED (of p, in images), SEEDS,
# METRICS, FEATURES, EVERY: another budget. NAME: that of the studies
set -euo pipefail
python=${PYTHON:-python}
pictures=${1:?a folder for the pictures}
test -d "$pictures/train" || $python - "$pictures" "${SOURCE:-}" <<'PYTHON'
import sys
from pathlib import Path

from PIL import Image

from ganlab.data.datasets import torchvision_images
from ganlab.pixels import to_uint8

folder, source = Path(sys.argv[1]), sys.argv[2] or None
data = torchvision_images(name="CIFAR10", root="data", source=source, shape=[3, 32, 32], split="train", flip=False)
x, y = data.reference(len(data))
for split, part in (("train", slice(200)), ("test", slice(200, 2200))):
    (folder / split).mkdir(parents=True)
    for i, picture in enumerate(to_uint8(x[y == 3][part])):
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(folder / split / f"{i:04d}.png")
PYTHON
images=${IMAGES:-100000}
sweep() { # name, overrides
    $python train.py -m experiment=my_images "seed=${SEEDS:-0,1,2}" study="${NAME:-my_images}-$1" "data.source=$pictures" shape=[3,32,32] "images=$images" \
        "model.G.width=${WIDTH:-32}" "model.D.width=${D_WIDTH:-${WIDTH:-32}}" "penalty.r1.gamma=${GAMMA:-0.0256}" model.G.doublings=0 model.D.doublings=0 model.G.w_dim=64 prior.dim=64 \
        "metrics=${METRICS:-classifier}" "features=${FEATURES:-features/cifar10.pt}" metrics.split=test "metrics.every=${EVERY:-500}" \
        logger=csv "${@:2}"
}
sweep ada augment=ada "augment.speed=${SPEED:-$((images / 4))}" "${@:2}" # p may reach 1 in a quarter of the run, as in the recipe
sweep none augment=none "${@:2}"
