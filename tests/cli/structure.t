#!/bin/sh
# What must hold of the whole: one exported symbol a plugin; no plugin's name in the core; plugins link no symbol of the core.
. "$top_srcdir/tests/cli/tap.sh"
for so in "$top_builddir"/abi1/*/*.so; do
    symbols=$(nm -D --defined-only "$so" | awk '$2 ~ /[A-Z]/ && $3 !~ /^(_init|_fini|__bss_start|_edata|_end)$/ { print $3 }' | grep -v '^__\(asan\|ubsan\|odr_asan\)' | tr '\n' ' ')
    [ "$symbols" = "pudle_plugin " ]
    ok $? "$(basename "$so") exports pudle_plugin alone"
    [ "$symbols" = "pudle_plugin " ] || echo "# $symbols"
    ! nm -D --undefined-only "$so" | grep -q ' U p\(d\|udle\)_'
    ok $? "$(basename "$so") needs no symbol of the core"
done
for so in "$top_builddir"/abi1/*/*.so; do
    name=$(basename "$so" .so)
    if [ "$name" = npy ] || [ "$name" = images ]; then # also a file format, a plain word: as plugins' names they would stand in quotes
        pattern="\"$name\""
    else
        pattern="\\b$name\\b"
    fi
    ! grep -rnE "$pattern" "$top_srcdir/core" --include='*.[ch]' >"$work/found"
    ok $? "core/ does not know '$name'"
    [ -s "$work/found" ] && diag "$work/found"
done
done_testing
