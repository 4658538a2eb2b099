#!/bin/sh
# `pudle plugins check`: every mutant is caught by the test that is meant to, and every shipped plugin passes. A failure shows the
# report, whose last line repeats it.
. "$top_srcdir/tests/cli/tap.sh"
sh "$top_srcdir/tests/mutants/build.sh" "$work/mutants" 2>"$work/err" ||
    skip_all "$CC cannot build shared objects: $(head -n 1 "$work/err")"

failed_tests() {
    sed -n 's/^not ok [0-9]* - [a-z0-9_]* \([a-z_]*\)$/\1/p' "$work/out" | tr '\n' ' '
}

# ---- mutants
while read -r name test others; do
    case $name in '#'*) continue ;; esac
    if [ "$name" = malloc_leak ] && nm "$PUDLE" 2>/dev/null | grep -q __asan_init; then # it has another allocator
        ok 0 "$name # SKIP memory outside the host's is not counted under a sanitizer"
        continue
    fi
    limit=60 # a machine with other work may stand still for seconds
    [ "$name" != hang ] || limit=5
    run "$PUDLE" plugins check "$work/mutants/$name.so" --timeout $limit
    found=$(failed_tests)
    if [ "$test" = - ]; then
        is_success "$name passes"
        [ -n "$found" ] && diag "$work/out"
        continue
    fi
    verdict=0
    case " $found" in *" $test "*) ;; *) verdict=1 ;; esac
    for f in $found; do
        case " $test $others " in *" $f "*) ;; *) verdict=1 ;; esac
    done
    [ "$status" -eq 1 ] || verdict=1
    ok $verdict "$name is caught by: $test"
    [ "$verdict" -eq 0 ] || { echo "# exit $status; failed: $found"; diag "$work/out"; }
done <"$top_srcdir/tests/mutants/expected"

# ---- reports
run "$PUDLE" plugins check "$work/mutants/wrong_derivative.so" --only derivative --seed 5
cp "$work/out" "$work/first"
[ "$status" -eq 1 ] && grep -q -- "--only derivative --seed 5" "$work/out"
ok $? "a failure says how to see it again"
run "$PUDLE" plugins check "$work/mutants/wrong_derivative.so" --only derivative --seed 5
cmp -s "$work/out" "$work/first"
ok $? "and there it is again"
run "$PUDLE" plugins check "$work/mutants/writes_input.so" --only inputs
grep -q "it wrote to its input v: crashed (SIGSEGV) in apply" "$work/out"
ok $? "a write to an input is named"
run "$PUDLE" plugins check "$work/mutants/crash_on_empty.so" --only empty
grep -q "crashed (SIGFPE) in apply" "$work/out"
ok $? "a crash is reported with its signal and function"
run "$PUDLE" plugins check "$work/mutants/hang.so" --only nan --timeout 2
grep -q "did not end within 2 s; it was in apply" "$work/out"
ok $? "a hang is reported with its function"
run "$PUDLE" plugins check "$work/mutants/good_prox.so" --only optimal --in-process
is_success "--in-process runs without a process for each test"
run "$PUDLE" plugins check "$work/mutants/good_prox.so" --only optimale
refuses 2 "there is no such test" "an unknown test is refused, and the known ones are listed"
run "$PUDLE" plugins check "$work/mutants/good_prox.so" --set lamda=1
refuses 2 "unknown option" "an unknown option is refused"
run "$PUDLE" plugins check synthetic --backend ref
refuses 2 "has no kernels" "--backend is for what has kernels"
run "$PUDLE" plugins list --seed 3
refuses 2 "belong to pudle plugins check" "options of the check are refused elsewhere"
run "$PUDLE" plugins check "$work/mutants/none.so"
refuses 2 "cannot be read" "a file that is not there is refused"
: >"$work/empty.so"
run "$PUDLE" plugins check "$work/empty.so"
refuses 2 "does not begin with an ELF header" "what the loader refuses is refused with its reason"
run "$PUDLE" plugins check npy
[ "$status" -eq 0 ] && grep -q "SKIP the option 'path' is required and cannot be drawn: give --set path=" "$work/out"
ok $? "an option that cannot be drawn skips with the remedy"

# ---- what is shipped. tests/conform/options: NAME, then key=value for options that cannot be drawn
check_shipped() {
    name=$(basename "$1" .so)
    set -- "$1" "$2"
    for pair in $(sed -n "s/^$name //p" "$top_srcdir/tests/conform/options"); do
        set -- "$@" --set "$pair"
    done
    file=$1 through=$2
    shift 2
    run "$PUDLE" plugins check "$file" "$@" ${through:+--backend "$through"}
    is_success "$name passes${through:+, through $through as well}"
    [ "$status" -eq 0 ] || diag "$work/out"
}
backend=cpu
[ -e "$top_builddir/abi1/backend/cpu.so" ] || backend=ref
for so in "$top_builddir"/abi1/prox/*.so "$top_builddir"/abi1/loss/*.so; do
    check_shipped "$so" $backend
done
for so in "$top_builddir"/abi1/backend/ref.so "$top_builddir"/abi1/backend/cpu.so "$top_builddir"/abi1/data/synthetic.so; do
    [ -e "$so" ] && check_shipped "$so" ""
done
done_testing
