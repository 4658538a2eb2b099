#!/bin/sh
# Recovery of a dictionary from compressed samples x = A D* z*: 25 to 50 measurements of signals of 50 entries, 100 atoms, 3 nonzeros.
#   usage: recover.sh OUT [SEED] [OPTION]...     (MEASUREMENTS="25 30 35 40 50"; PUDLE names the program; OPTIONs go to pudle train)
# OUT/A_M.npy are matrices. OUT/dense_M learns atoms with all entries, of which nothing is known; OUT/sparse_M atoms with five, held to be sparse by
# dictionary_prox. OUT/errors.csv: the errors of D, of A D, which is all that the samples tell, and of the signals D z of test samples, relative.
set -eu
out=${1:?usage: recover.sh OUT [SEED] [OPTION]...}
shift
case ${1:-} in '' | -*) seed=1 ;; *) seed=$1; shift ;; esac
pudle=${PUDLE:-pudle}
command -v "$pudle" >/dev/null || { echo "$0: there is no program $pudle: put its folder into PATH, or name it in PUDLE" >&2; exit 1; }
here=$(CDPATH= cd -- "$(dirname "$0")" && pwd)
mkdir -p "$out"
echo "atoms,measurements,dictionary_error,measured_error,signal_error" >"$out/errors.csv"
for m in ${MEASUREMENTS:-25 30 35 40 50}; do
    "$pudle" train "$here/matrix.cfg" --out "$out/matrix" --force --quiet --set data.features="$m" --set train.seed="$seed" >/dev/null
    cp "$out/matrix/dictionary.npy" "$out/A_$m.npy"
    for atoms in dense sparse; do
        how=
        [ $atoms = sparse ] || how="--unset data.atom_sparsity --unset dictionary_prox"
        # shellcheck disable=SC2086
        "$pudle" train "$here/compressed.cfg" --out "$out/${atoms}_$m" --force --quiet $how --set data.measurement="$out/A_$m.npy" \
            --set model.measurement="$out/A_$m.npy" --set data.seed="$seed" --set train.seed="$seed" "$@" >/dev/null
        "$pudle" evaluate "$out/${atoms}_$m" --split test | awk -F= -v row="$atoms,$m" '{ value[$1] = $2 }
            END { print row "," value["dictionary_error"] "," value["measured_error"] "," value["signal_error"] }' | tee -a "$out/errors.csv"
    done
done
rm -rf "$out/matrix"
