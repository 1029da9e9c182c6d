#!/usr/bin/env bash
# Seven families for equal CPU time on MNIST at SIDE x SIDE (16; 28 is its own): LIMIT seconds of training each on one thread,
# counted from the first iteration on.
# A family that is there already is not trained again. Linux (/proc).
#   docs/studies/families.sh && ganlab evaluate runs/families/*/ --metrics classifier --n 2000
#   python docs/studies/rows.py OUT.png runs/families/dcgan=dcgan ...
# LIMIT, ROOT: where MNIST is; FEATURES: a classifier of this shape (ganlab features --out FILE data=mnist shape=[1,16,16])
set -euo pipefail
python=${PYTHON:-python}
mkdir -p runs/families
used() { # process: its CPU time in hundredths of a second
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '{print $12 + $13}'
}
train() { # model, overrides
    local run=runs/families/$1 pid start='' now
    test ! -f "$run/result.json" || return 0
    $python train.py data=mnist "shape=[1,${SIDE:-16},${SIDE:-16}]" "data.root=${ROOT:-data}" "features=${FEATURES:-features/mnist16.pt}" "model=$1" model.G.width=16 \
        model.D.width=16 prior.dim=64 batch_size=32 ema_decay=0.99 iterations=100000 metrics=images metrics.picture=null health.every=100000 \
        log_every=25 at_once=5 threads=1 logger=csv hydra.run.dir="$run" "${@:2}" >"$run.log" 2>&1 &
    pid=$!
    while now=$(used $pid) && test -n "$now"; do
        test -n "$start" || ! grep -q 'iteration [0-9]*/' "$run.log" || start=$now
        test -z "$start" || test $((now - start)) -lt "${LIMIT:-60}00" || { kill -TERM $pid; break; } # writes a checkpoint and ends
        sleep 1
    done
    wait $pid || test -f "$run/result.json"
}
for model in dcgan sngan wgan_gp sagan biggan; do train $model optim.lr=5e-4; done
train stylegan2 model.G.w_dim=64 model.D.group=4 average.images=2000
train r3gan optim.lr=1e-3 penalty.r1.gamma=1 penalty.r2.gamma=1
