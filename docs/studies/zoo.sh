#!/usr/bin/env bash
# Every loss with its customary term on one toy (ring, grid), or every trick against none on the ring (tricks); 10 seeds each, which are
# trained at once where that can be done. Resumable: the same command goes on where it was. ONLY: the settings to run, as a pattern.
#   docs/studies/zoo.sh ring && ganlab compare runs/sweeps/zoo-ring-* && python docs/studies/zoo_table.py runs/sweeps/zoo-ring-*
set -euo pipefail
what=${1:?ring, grid or tricks}
python=${PYTHON:-python}
seeds=10
alone() { # name, overrides
    [[ $1 =~ ^(${ONLY:-.*})$ ]] || return 0
    $python train.py -m data="${what/tricks/ring}" study="zoo-$what-$1" "seed=range($seeds)" logger=csv metrics.picture=null metrics.every=1000 \
        theory.every=1000 theory.frames=0 "${@:2}"
}
sweep() { alone "$@" hydra/launcher=replicas; }
if [[ $what == tricks ]]; then
    sweep none
    for adjust in label_smoothing top_k; do sweep $adjust adjust=$adjust; done
    for augment in instance_noise instance_noise_decay; do sweep $augment augment=$augment; done
    for penalty in r1 r2 dragan gradient_penalty_zero centring transport orthogonal; do sweep $penalty penalty=$penalty; done
    for order in simultaneous extragradient optimistic; do sweep $order updates=$order; done
    for rates in linear cosine cosine_g; do sweep $rates schedule=$rates; done
    for average in half_life power; do sweep $average average=$average; done
    alone lecam penalty=lecam
    alone consensus updates=consensus
    seeds=5 alone unrolled updates=unrolled # an iteration of it costs ten
else
    for loss in minimax non_saturating least_squares f_jensen_shannon wasserstein_toy f_kl f_reverse_kl f_pearson f_hellinger f_total_variation
    do sweep $loss loss=$loss; done
    sweep r3 loss=relativistic 'penalty=[r1,r2]'
    sweep average loss=relativistic_average penalty=r1
    sweep r1 loss=non_saturating penalty=r1
    sweep clip loss=wasserstein penalty=weight_clipping penalty.weight_clipping.limit=0.1
    for loss in energy mmd; do sweep $loss loss=$loss penalty=gradient_penalty penalty.gradient_penalty.weight=0.1; done
    sweep hinge_sn loss=hinge penalty=spectral_norm
fi
