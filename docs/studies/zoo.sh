#!/usr/bin/env bash
# Every loss with its customary term on one toy, 10 seeds: DATA=ring or grid. Resumable: the same command goes on where it was.
#   docs/studies/zoo.sh ring && ganlab compare runs/sweeps/zoo-ring-*
set -euo pipefail
data=${1:?ring or grid}
python=${PYTHON:-python}
sweep() { # name, overrides
    $python train.py -m data="$data" study="zoo-$data-$1" seed='range(10)' logger=csv metrics.picture=null metrics.every=1000 \
        theory.every=1000 theory.frames=0 "${@:2}"
}
sweep r3 loss=relativistic 'penalty=[r1,r2]'
sweep free loss=minimax,non_saturating,least_squares,f_jensen_shannon
sweep wgan loss=wasserstein_toy
sweep r1 loss=non_saturating penalty=r1
sweep hinge_sn loss=hinge penalty=spectral_norm
sweep average loss=relativistic_average penalty=r1
sweep metric loss=energy,mmd penalty=gradient_penalty penalty.gradient_penalty.weight=0.1
sweep f loss=f_kl,f_reverse_kl,f_pearson,f_hellinger,f_total_variation
sweep clip loss=wasserstein penalty=weight_clipping penalty.weight_clipping.limit=0.1
