# tests/cli/tap.sh - TAP for shell tests. Source it; call ok, skip, and done_testing at the end.
# The environment comes from the Makefile: PUDLE (the program), PUDLE_PLUGIN_PATH, top_srcdir, top_builddir, CC.
tap_count=0
work=$(mktemp -d "${TMPDIR:-/tmp}/pudle-test-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
shared="$top_srcdir/../shared"

# ok STATUS DESCRIPTION
ok() {
    tap_count=$((tap_count + 1))
    if [ "$1" -eq 0 ]; then echo "ok $tap_count - $2"; else echo "not ok $tap_count - $2"; fi
}

# run COMMAND...: status in $status, output in $work/out and $work/err
run() {
    "$@" >"$work/out" 2>"$work/err" </dev/null
    status=$?
}

diag() {
    sed 's/^/# /' "$@"
}

# is_success DESCRIPTION: the last run exited 0; its errors are shown if not
is_success() {
    ok "$status" "$1"
    [ "$status" -eq 0 ] || diag "$work/err"
}

# refuses CODE PHRASE DESCRIPTION: the last run exited with CODE and said PHRASE on stderr
refuses() {
    if [ "$status" -eq "$1" ] && grep -qF -- "$2" "$work/err"; then ok 0 "$3"; else
        ok 1 "$3"
        echo "# exit code $status, wanted $1; wanted on stderr: $2"
        diag "$work/err"
    fi
}

# can_check: does this pudle have `plugins check`?
can_check() {
    "$PUDLE" plugins --help | grep -q 'check FILE'
}

# installed: from here on everything is found as in an installation, under $work/root: the program (PUDLE, and in PATH), headers by
# pkg-config, plugins, templates. $HOME is $work/home. The prefix was another one when pudle was configured, so two variables say where.
installed() {
    unset MAKEFLAGS MFLAGS MAKELEVEL XDG_DATA_HOME
    run make -C "$top_builddir" install DESTDIR="$work/root"
    is_success "make install DESTDIR=..."
    PUDLE=$(find "$work/root" -path '*/bin/pudle')
    PATH=$(dirname "$PUDLE"):$PATH
    PKG_CONFIG_SYSROOT_DIR=$work/root
    PKG_CONFIG_PATH=$(dirname "$(find "$work/root" -name pudle-plugin.pc)")
    PUDLE_PLUGIN_PATH=$(find "$work/root" -type d -name abi1)
    PUDLE_TEMPLATES=$(find "$work/root" -type d -path '*/pudle/templates')
    HOME=$work/home
    export PATH HOME PUDLE PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_PATH PUDLE_PLUGIN_PATH PUDLE_TEMPLATES
}

# npy FILE TYPE SHAPE: an array of the bytes on standard input
npy() {
    { printf '\223NUMPY\001\000v\000'; printf "%-117s\n" "{'descr': '$2', 'fortran_order': False, 'shape': ($3), }"; cat; } >"$1"
}
# doubles FILE SHAPE NUMBER...: an array of f64, each number given as its eight bytes
doubles() {
    to=$1 shape=$2
    shift 2
    for bytes; do printf "$bytes"; done | npy "$to" '<f8' "$shape"
}
zero='\000\000\000\000\000\000\000\000' one='\000\000\000\000\000\000\360\077' two='\000\000\000\000\000\000\000\100'

skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}

done_testing() {
    echo "1..$tap_count"
}
