#!/bin/sh
# Figure 14: the three estimators with learning rates of 0.01, 0.001 and 0.0001, 100 layers, for 140, 600 and 4000 full-batch updates.
#   usage: figure14.sh OUT [SEED] [OPTION]...     (ESTIMATORS, PUDLE: as for learning.sh; RATES="0.01 0.001 0.0001")
# OUT/rate_R holds the runs with rate R, with final.csv and curves.png. Figure 4c is that of 0.001.
set -eu
here=$(CDPATH= cd -- "$(dirname "$0")" && pwd)
out=${1:?usage: figure14.sh OUT [SEED] [OPTION]...}
shift
case ${1:-} in '' | -*) seed=1 ;; *) seed=$1; shift ;; esac
mkdir -p "$out"
for rate in ${RATES:-0.01 0.001 0.0001}; do
    case $rate in 0.01) epochs=140 ;; 0.0001) epochs=4000 ;; *) epochs=600 ;; esac
    DEPTHS=100 "$here/learning.sh" "$out/rate_$rate" "$seed" --quiet --set train.learning_rate="$rate" --set train.epochs="$epochs" "$@"
done
