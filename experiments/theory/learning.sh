#!/bin/sh
# Figures 4b and 4c: dictionary learning with the three gradient estimators, 600 full-batch updates from a dictionary 61 % away.
#   usage: learning.sh OUT [SEED] [OPTION]...     (DEPTHS="25 100" and ESTIMATORS="dec aelasso aels" choose the curves; OPTIONs go to pudle train)
# Three more are no estimators of the paper: implicit, the limit of aels for T to infinity, at codes of T layers; refit, the decoder's at codes fitted again; and odl,
# alternating minimisation: an exact step for each atom instead of a gradient.
# Each run lies in OUT/ESTIMATOR_T; called again it resumes. OUT/final.csv holds the relative dictionary error of each run in OUT at its end, and the
# least on the way; OUT/curves.png draws them, where there is a gnuplot. LAMBDA (0.2) is that of encoder and lasso. SAVED, a folder with the authors'
# curves, adds these to the picture. CONFIG is another problem to learn from, learning.cfg by default. PUDLE names the program.
set -eu
out=${1:?usage: learning.sh OUT [SEED] [OPTION]...}
shift
case ${1:-} in '' | -*) seed=1 ;; *) seed=$1; shift ;; esac
lambda=${LAMBDA:-0.2}
pudle=${PUDLE:-pudle}
command -v "$pudle" >/dev/null || { echo "$0: there is no program $pudle: put its folder into PATH, or name it in PUDLE" >&2; exit 1; }
here=$(CDPATH= cd -- "$(dirname "$0")" && pwd)
mkdir -p "$out"
for T in ${DEPTHS:-25 100}; do
    for g in ${ESTIMATORS:-dec aelasso aels}; do
        case $g in
            dec) how="--set model.gradient=dec --set loss.name=least_squares" ;;
            aelasso) how="--set model.gradient=ae --set loss.name=lasso --set loss.lambda=$lambda" ;;
            aels) how="--set model.gradient=ae --set loss.name=least_squares" ;;
            implicit | refit) how="--set model.gradient=$g --set model.ill_conditioned=skip --set loss.name=least_squares" ;;
            odl) # alternating minimisation: batches are all samples, and what was known of former codes is forgotten
                how="--set model.gradient=dec --set loss.name=least_squares --set train.optimizer=odl --set train.forget=1e9 --unset train.learning_rate --unset train.epsilon --unset train.tangent" ;;
            *) echo "no estimator '$g': dec, aelasso, aels, implicit, refit, odl" >&2; exit 2 ;;
        esac
        # shellcheck disable=SC2086
        "$pudle" train "${CONFIG:-$here/learning.cfg}" --out "$out/${g}_$T" --resume $how --set model.layers="$T" --set data.seed="$seed" \
            --set train.seed="$seed" --set prox.lambda="$lambda" "$@"
    done
done
"$here/curves.sh" "$out"
