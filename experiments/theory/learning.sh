#!/bin/sh
# Figures 4b and 4c: dictionary learning with the three gradient estimators, 600 full-batch updates from a dictionary 61 % away.
#   usage: learning.sh OUT [SEED]         (DEPTHS="25 100" and ESTIMATORS="dec aelasso aels" choose the curves)
# A fourth, implicit, is no estimator of the paper: the limit of aels for T to infinity, at codes of T layers.
# Each run lies in OUT/ESTIMATOR_T; OUT/final.csv holds the relative dictionary error at the end of each.
set -eu
out=${1:?usage: learning.sh OUT [SEED]}
seed=${2:-1}
pudle=${PUDLE:-pudle}
command -v "$pudle" >/dev/null || { echo "$0: there is no program $pudle: put its folder into PATH, or name it in PUDLE" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
echo "estimator,T,dictionary_error" >"$out/final.csv"
for T in ${DEPTHS:-25 100}; do
    for g in ${ESTIMATORS:-dec aelasso aels}; do
        case $g in
            dec) how="--set model.gradient=dec --set loss.name=least_squares" ;;
            aelasso) how="--set model.gradient=ae --set loss.name=lasso --set loss.lambda=0.2" ;;
            aels) how="--set model.gradient=ae --set loss.name=least_squares" ;;
            implicit) how="--set model.gradient=implicit --set model.ill_conditioned=skip --set loss.name=least_squares" ;;
            *) echo "no estimator '$g': dec, aelasso, aels, implicit" >&2; exit 2 ;;
        esac
        "$pudle" train "$here/problem.cfg" --out "$out/${g}_$T" --resume $how --set model.layers="$T" --set model.dictionary.noise=0.1 \
            --set precision=f32 --set data.seed="$seed" --set train.seed="$seed"
        error=$(tail -n 1 "$out/${g}_$T/metrics.csv" | cut -d, -f11)
        echo "$g,$T,$error" | tee -a "$out/final.csv"
    done
done
