#!/usr/bin/env bash
# Seven families for equal CPU time: LIMIT seconds of training each on one thread, counted from the first iteration on.
# A family that is there already is not trained again. Linux (/proc).
#   docs/studies/families.sh && ganlab evaluate runs/families/*/ --metrics classifier --n 2000
#   DATA=cifar10 SIDE=32 WIDTH=32 RUNS=runs/families_cifar10 docs/studies/families.sh
#   python docs/studies/rows.py OUT.png runs/families/dcgan=dcgan ...
# DATA: mnist or cifar10; SIDE: of its pictures (28 is MNIST's own); WIDTH: of both nets; R3GAN: of r3gan's, whose blocks are twice as
# wide; FAMILIES: some of them; SOURCE: the pictures, if not to be downloaded; ROOT: where MNIST is; FEATURES: a classifier of this
# shape (ganlab features --out FILE data=mnist shape=[1,16,16])
set -euo pipefail
python=${PYTHON:-python}
data=${DATA:-mnist} side=${SIDE:-16} width=${WIDTH:-16} runs=${RUNS:-runs/families}
mkdir -p "$runs"
case $data in
    mnist) of=("data=mnist" "shape=[1,$side,$side]" "data.root=${ROOT:-data}" "features=${FEATURES:-features/mnist16.pt}") rate=(optim.lr=5e-4) ;;
    cifar10) of=("data=cifar10" "shape=[3,$side,$side]" "data.source=${SOURCE:-null}" "features=${FEATURES:-features/cifar10.pt}") rate=() ;; # each model's own
    *) echo "DATA=$data: mnist or cifar10 is meant" >&2 && exit 2 ;;
esac
used() { # process: its CPU time in hundredths of a second
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '{print $12 + $13}'
}
train() { # model, overrides
    local run=$runs/$1 pid start='' now
    test ! -f "$run/result.json" || return 0
    $python train.py "${of[@]}" "model=$1" "model.G.width=$width" "model.D.width=$width" \
        prior.dim=64 batch_size=32 ema_decay=0.99 iterations=100000 metrics=images metrics.picture=null health.every=100000 \
        log_every=25 at_once=5 threads=1 logger=csv hydra.run.dir="$run" "${@:2}" >"$run.log" 2>&1 &
    pid=$!
    while now=$(used $pid) && test -n "$now"; do
        test -n "$start" || ! grep -q 'iteration [0-9]*/' "$run.log" || start=$now
        test -z "$start" || test $((now - start)) -lt "${LIMIT:-60}00" || { kill -TERM $pid; break; } # writes a checkpoint and ends
        sleep 1
    done
    wait $pid || test -f "$run/result.json"
}
for family in ${FAMILIES:-dcgan sngan wgan_gp sagan biggan stylegan2 r3gan}; do
    case $family in
        stylegan2) train $family model.G.w_dim=64 model.D.group=4 average.images=2000 ;;
        r3gan) width=${R3GAN:-$width} train $family optim.lr=1e-3 penalty.r1.gamma=1 penalty.r2.gamma=1 ;;
        *) train "$family" "${rate[@]}" ;;
    esac
done
