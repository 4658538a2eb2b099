#!/bin/sh
# `pudle gradient` on the dense reference cases, and on all of the exponential family: codes, reconstructions, means and gradients to 1e-10 in f64 and 1e-4 in f32, on every backend.
. "$top_srcdir/tests/cli/tap.sh"
fixtures="$shared/reference/fixtures"
[ -r "$fixtures/index.json" ] || skip_all "the reference cases do not lie beside the project"

backends=ref
[ -e "$top_builddir/abi1/backend/cpu.so" ] && backends="ref cpu"

# one CASE GRADIENT LOSS FILE BACKEND PRECISION BOUND
one() {
    dir="$fixtures/$1"
    prox='name = "soft_threshold"; lambda = 0.1;'
    nonnegative=false
    target=
    layers=$(echo "$1" | sed 's/.*_T0*//')
    loss="name = \"$3\";"
    [ "$3" = lasso ] && loss="$loss lambda = 0.1;"
    case $1 in
        c_*) prox='name = "hard_threshold"; threshold = 0.1;' ;;
        d_*) prox="$prox decay = 0.9;" ;;
        h_*) [ "$2" != noodl ] && prox="$prox learn = \"global\";" ;;
    esac
    case $1 in *onesided*) nonnegative=true ;; esac
    [ -e "$dir/target.npy" ] && target="target = \"$dir/target.npy\";"
    cat >"$work/case.cfg" <<EOF
precision = "$6";
backend: { name = "$5"; };
data:    { name = "npy"; path = "$dir/x.npy"; $target };
model:   { dictionary: { kind = "dense"; atoms = 30; init = "file"; path = "$dir/W.npy"; };
           layers = $layers; step = 0.2; gradient = "$2"; };
prox:    { $prox nonnegative = $nonnegative; };
loss:    { $loss };
train:   { epochs = 1; };
EOF
    what="$1 $2 $3 $5 $6"
    run "$PUDLE" gradient "$work/case.cfg" --out "$work/o"
    if [ "$status" -ne 0 ] || ! grep -q '^loss=' "$work/out"; then
        ok 1 "$what"
        diag "$work/err"
        return
    fi
    bad=0
    for pair in code:zT reconstruction:xhat gradient:$4; do
        "$PUDLE" compare "$work/o/${pair%%:*}.npy" "$dir/${pair##*:}.npy" --rtol "$7" >"$work/cmp" 2>&1 || { bad=1; diag "$work/cmp"; }
    done
    if [ -e "$dir/$4_b.npy" ] && [ "$2" != noodl ]; then
        "$PUDLE" compare "$work/o/gradient_threshold.npy" "$dir/$4_b.npy" --rtol "$7" >"$work/cmp" 2>&1 || { bad=1; diag "$work/cmp"; }
    fi
    ok $bad "$what"
    rm -rf "$work/o"
}

# exponential CASE GRADIENT CODE_L1 FILE BACKEND PRECISION BOUND
exponential() {
    dir="$fixtures/$1"
    layers=$(echo "$1" | sed 's/.*_T0*//')
    family=$(echo "$1" | cut -d_ -f3)
    nonnegative=false
    step=0.2
    case $1 in *poisson*) step=0.05 ;; esac
    case $1 in *onesided*) nonnegative=true ;; esac
    dictionary='kind = "dense"; atoms = 30;'
    case $1 in i_conv*) dictionary='kind = "conv"; atoms = 6; size = [5, 5]; stride = [2];' ;; esac
    cat >"$work/case.cfg" <<EOF
precision = "$6";
backend: { name = "$5"; };
data:    { name = "npy"; path = "$dir/x.npy"; };
model:   { dictionary: { $dictionary init = "file"; path = "$dir/W.npy"; };
           layers = $layers; step = $step; gradient = "$2"; };
prox:    { name = "soft_threshold"; lambda = 0.1; nonnegative = $nonnegative; };
loss:    { name = "$family"; code_l1 = $3; };
train:   { epochs = 1; };
EOF
    what="$1 $2 code_l1=$3 $5 $6"
    run "$PUDLE" gradient "$work/case.cfg" --out "$work/o"
    bad=$status
    [ "$bad" -eq 0 ] || diag "$work/err"
    for pair in code:zT reconstruction:eta mean:mean gradient:$4; do
        "$PUDLE" compare "$work/o/${pair%%:*}.npy" "$dir/${pair##*:}.npy" --rtol "$7" >"$work/cmp" 2>&1 || { bad=1; diag "$work/cmp"; }
    done
    ok $bad "$what"
    rm -rf "$work/o"
}

for path in "$fixtures"/i_*; do
    case=$(basename "$path")
    for backend in $backends; do
        for precision in f64:1e-10 f32:1e-4; do
            exponential "$case" dec 0.0 grad_dec "$backend" "${precision%%:*}" "${precision##*:}"
            exponential "$case" ae 0.1 grad_aelasso "$backend" "${precision%%:*}" "${precision##*:}"
            exponential "$case" ae 0.0 grad_aels "$backend" "${precision%%:*}" "${precision##*:}"
            [ -e "$path/grad_noodl.npy" ] && exponential "$case" noodl 0.0 grad_noodl "$backend" "${precision%%:*}" "${precision##*:}"
        done
    done
done

for path in "$fixtures"/[abcdgh]_dense_*; do
    case=$(basename "$path")
    for backend in $backends; do
        for precision in f64:1e-10 f32:1e-4; do
            one "$case" dec least_squares grad_dec "$backend" "${precision%%:*}" "${precision##*:}"
            one "$case" ae lasso grad_aelasso "$backend" "${precision%%:*}" "${precision##*:}"
            one "$case" ae least_squares grad_aels "$backend" "${precision%%:*}" "${precision##*:}"
            [ -e "$path/grad_noodl.npy" ] && one "$case" noodl least_squares grad_noodl "$backend" "${precision%%:*}" "${precision##*:}"
        done
    done
done
done_testing
