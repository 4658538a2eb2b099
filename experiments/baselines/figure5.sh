#!/bin/sh
# Figure 5: how near the true dictionary a thousand updates come, for codes of 10, 20 and 40 nonzeros, by backpropagation with a soft threshold, with
# one that decays with the layers (by 0.005 more every 100 updates), with a hard threshold, and by the signs of the codes (noodl).
#   usage: figure5.sh OUT [SEED]         (NONZEROS="10 20" and METHODS="soft decay hard noodl" choose the curves; PUDLE names the program)
# Each run lies in OUT/METHOD_NONZEROS, its curve in metrics.csv there; called again it resumes. OUT/final.csv has the relative dictionary error at
# the end of each and the seconds it took. All twelve take some six minutes on two processors of 2024.
set -eu
out=${1:?usage: figure5.sh OUT [SEED]}
seed=${2:-1}
pudle=${PUDLE:-pudle}
command -v "$pudle" >/dev/null || { echo "$0: there is no program $pudle: put its folder into PATH, or name it in PUDLE" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
echo "method,nonzeros,dictionary_error,seconds" >"$out/final.csv"
hard="--set prox.name=hard_threshold --unset prox.lambda --set prox.threshold=0.1"
for nonzeros in ${NONZEROS:-10 20 40}; do
    for method in ${METHODS:-soft decay hard noodl}; do
        case $method in
            soft) settings= ;;
            decay) settings="--set prox.decay=1.0 --set prox.decay_change=-0.005 --set prox.decay_every=100" ;;
            hard) settings=$hard ;;
            noodl) settings="$hard --set model.gradient=noodl --set train.optimizer=sgd --unset train.epsilon --set train.learning_rate=0.4" ;;
            *) echo "figure5.sh: there is no method $method" >&2; exit 2 ;;
        esac
        run=$out/${method}_$nonzeros
        # shellcheck disable=SC2086
        "$pudle" train "$here/problem.cfg" --out "$run" --resume --quiet --set data.sparsity="$nonzeros" --set train.seed="$seed" $settings >/dev/null
        tail -n 1 "$run/metrics.csv" | awk -F, -v m="$method" -v s="$nonzeros" '{ printf "%s,%s,%s,%s\n", m, s, $11, $NF }' >>"$out/final.csv"
        tail -n 1 "$out/final.csv"
    done
done
