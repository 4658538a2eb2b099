#!/bin/sh
# Figures 7 to 10: a dictionary of handwritten digits 0 to 4, the training images that its atoms are made of, those that test images call up, and how
# similar codes are within and between classes.
#   usage: digits.sh OUT MNIST [OTHER.npy] [OPTION]...       (OPTIONs go to pudle train; SAMPLES="3,18" chooses test images; PUDLE names the program)
# MNIST is the folder of the IDX files. OTHER.npy, "" for none, holds pictures of something else, (n, 784): its codes call up the digits less.
# OUT/run is the run (called again it resumes; 200 epochs as in the paper, --set train.epochs=20 gives a first impression), OUT/why what was found:
# atoms_used.png is Figure 7, atoms.png Figure 8, samples.png Figure 9 and the images of Figure 10, similarity.png (where there is a gnuplot) its histograms.
set -eu
out=${1:?usage: digits.sh OUT MNIST [OTHER.npy] [OPTION]...}
mnist=${2:?usage: digits.sh OUT MNIST [OTHER.npy] [OPTION]...}
shift 2
case ${1:-} in -*) other= ;; *) other=${1:-}; [ $# -eq 0 ] || shift ;; esac
pudle=${PUDLE:-pudle}
command -v "$pudle" >/dev/null || { echo "$0: there is no program $pudle: put its folder into PATH, or name it in PUDLE" >&2; exit 1; }
here=$(CDPATH= cd -- "$(dirname "$0")" && pwd)
mkdir -p "$out"
"$pudle" train "$here/../mnist.cfg" --out "$out/run" --resume --quiet --set data.path="$mnist" "$@"
echo "test digits:"
"$pudle" attribute "$out/run" --out "$out/why" --split test --samples "${SAMPLES:-0,1,2,3,4,5}"
if [ -n "$other" ]; then
    echo "the others:"
    "$pudle" attribute "$out/run" --out "$out/other" --input "$other"
fi
if command -v gnuplot >/dev/null; then
    gnuplot -e "folder='$out/why'; samples='$(cut -d, -f1 "$out/why/code_similarity.csv" | sed 1d | uniq | head -n 6 | tr '\n' ' ')'" "$here/similarity.gp"
    echo "picture: $out/why/similarity.png"
else
    echo "digits.sh: no gnuplot here, so no histograms"
fi
