#!/usr/bin/env bash
# Six families at equal real images, 3 seeds: 18 runs on CIFAR-10. Resumable: the same command goes on where it was.
#   ganlab features data=cifar10 && docs/studies/networks.sh && ganlab compare runs/sweeps/networks
# SOURCE: the pictures, if not to be downloaded; IMAGES, WIDTH, METRICS: another budget
set -euo pipefail
python=${PYTHON:-python}
$python train.py -m model=dcgan,sngan,sagan,biggan,stylegan2,r3gan seed=0,1,2 study=networks data=cifar10 \
    "data.source=${SOURCE:-null}" "images=${IMAGES:-128000}" "model.G.width=${WIDTH:-32}" "model.D.width=${WIDTH:-32}" prior.dim=64 \
    batch_size=32 ema_decay=0.99 "metrics=${METRICS:-classifier}" metrics.every=1000 theory=none logger=csv "$@"
