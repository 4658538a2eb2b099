#!/bin/sh
# Figure 11: the true code of a sample and the code of the network, at a dictionary near the true one and at one that is 61 % away.
#   usage: figure11.sh OUT [SEED]        (SAMPLE, 0 by default, chooses the sample; PUDLE names the program)
# OUT/near and OUT/far hold code.npy and true_code.npy of ten samples, OUT/codes.png draws one of them, where there is a gnuplot.
set -eu
out=${1:?usage: figure11.sh OUT [SEED]}
seed=${2:-1}
sample=${SAMPLE:-0}
pudle=${PUDLE:-pudle}
command -v "$pudle" >/dev/null || { echo "$0: there is no program $pudle: put its folder into PATH, or name it in PUDLE" >&2; exit 1; }
here=$(CDPATH= cd -- "$(dirname "$0")" && pwd)
mkdir -p "$out"
for start in near:0.02 far:0.1; do
    "$pudle" gradient "$here/problem.cfg" --out "$out/${start%:*}" --set data.samples=10 --set data.seed="$seed" --set train.seed="$seed" \
        --set model.dictionary.noise="${start#*:}" >/dev/null
    echo "${start%:*}: ||z_T - z*|| = $("$pudle" compare "$out/${start%:*}/code.npy" "$out/${start%:*}/true_code.npy" | sed -n 's/^mean||a_i-b_i||=//p') in the mean of ten samples"
done
header() { # bytes before the numbers of a .npy file
    echo $((10 + $(od -An -tu2 -j8 -N2 "$1")))
}
if command -v gnuplot >/dev/null; then
    gnuplot -e "folder='$out'; skip=$(header "$out/near/code.npy"); sample=$sample" "$here/codes.gp"
    echo "picture: $out/codes.png"
else
    echo "figure11.sh: no gnuplot here, so no picture"
fi
