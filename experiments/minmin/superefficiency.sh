#!/bin/sh
# Super-efficiency: how the error of gradient estimators follows that of the code, as the network gets deeper (Ablin, Peyre, Moreau 2020).
#   usage: superefficiency.sh OUT [CONFIG]...     (ridge.cfg and logistic.cfg by default; DEPTHS="1 10 25", LIMIT=3000, PUDLE names the program)
# z_hat and g_hat are the code and the analytic gradient (dec) after LIMIT layers. OUT/NAME.csv, NAME being the config's: T and the relative errors of the code
# and of the gradients dec (analytic), ae (automatic) and implicit. OUT/slopes.csv: the slopes of log ||g - g_hat|| against log ||z_T - z_hat||, fitted where the
# code's error is below 0.1 and the gradient's above 1e-12, to rounding; ae_by_T is that of ||g - g_hat|| / T, because the derivative of the code converges as T rho^T
# where the code does as rho^T. OUT/superefficiency.png draws them, where there is a gnuplot.
# A config of your own needs precision = "f64" and a training loss that is the encoder's objective, penalty included: docs/min-min.md.
set -eu
out=${1:?usage: superefficiency.sh OUT [CONFIG]...}
shift
limit=${LIMIT:-3000}
pudle=${PUDLE:-pudle}
command -v "$pudle" >/dev/null || { echo "$0: there is no program $pudle: put its folder into PATH, or name it in PUDLE" >&2; exit 1; }
here=$(CDPATH= cd -- "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || set -- "$here/ridge.cfg" "$here/logistic.cfg"
mkdir -p "$out"
work=$(mktemp -d "$out/gradients-XXXXXX")
trap 'rm -rf "$work"' EXIT

gradient() { # CONFIG NAME LAYERS ESTIMATOR
    "$pudle" gradient "$1" --out "$work/$2" --set model.layers="$3" --set model.gradient="$4" >/dev/null
}
error() { # ESTIMATOR ARRAY: relative, to the limit
    "$pudle" compare "$work/$1/$2.npy" "$work/hat/$2.npy" | sed -n 's/^||a-b||\/||b||=//p'
}
slope() { # ERROR FILE: of the logarithms, by least squares; ERROR is an expression in the columns
    awk -F, 'NR > 1 && $2 > 0 && $2 <= 0.1 && (e = '"$1"') >= 1e-12 { x = log($2); y = log(e); n++; sx += x; sy += y; sxx += x * x; sxy += x * y }
        END { d = n * sxx - sx * sx; if (n > 2 && d > 0) printf "%.2f", (n * sxy - sx * sy) / d; else printf "-" }' "$2"
}

names=
echo "problem,dec,ae,ae_by_T,implicit" >"$out/slopes.csv"
for config; do
    name=$(basename "$config" .cfg)
    names="$names $name"
    gradient "$config" hat "$limit" dec
    echo "T,code,dec,ae,implicit" >"$out/$name.csv"
    for T in ${DEPTHS:-1 2 5 10 15 20 25 30 35 40 50 60 70 80 100 120 140 160}; do
        for g in dec ae implicit; do
            gradient "$config" "$g" "$T" "$g"
        done
        echo "$T,$(error dec code),$(error dec gradient),$(error ae gradient),$(error implicit gradient)" >>"$out/$name.csv"
    done
    row=$name
    for e in '$3' '$4' '$4 / $1' '$5'; do
        row=$row,$(slope "$e" "$out/$name.csv")
    done
    echo "$row" >>"$out/slopes.csv"
done
cat "$out/slopes.csv"
if command -v gnuplot >/dev/null; then
    gnuplot -e "folder='$out'; names='${names# }'" "$here/superefficiency.gp"
    echo "picture: $out/superefficiency.png"
else
    echo "superefficiency.sh: no gnuplot here, so no picture"
fi
