#!/bin/sh
# docs/options.md is what the option tables say. After changing a table: pudle plugins reference >docs/options.md
. "$top_srcdir/tests/cli/tap.sh"
[ -e "$top_builddir/abi1/backend/cpu.so" ] || skip_all "built without the cpu backend, whose options are part of the reference"
run "$PUDLE" plugins reference
is_success "plugins reference prints"
documented=$top_srcdir/docs/options.md
if [ ! -e "$top_builddir/abi1/backend/cuda.so" ]; then # built without CUDA: all but that backend's section
    awk '/^### /{ skip = /^### backend `cuda`$/ } /^## /{ skip = 0 } !skip' "$top_srcdir/docs/options.md" >"$work/options.md"
    documented=$work/options.md
fi
diff "$documented" "$work/out" >"$work/diff"
ok $? "docs/options.md is up to date"
[ -s "$work/diff" ] && diag "$work/diff"
done_testing
