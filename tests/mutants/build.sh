#!/bin/sh
# Build the mutants of this folder into DIR/NAME.so.    usage: build.sh DIR    environment: CC, top_srcdir
set -e
dir=$1
here=$top_srcdir/tests/mutants
cc="${CC:-cc} -std=c11 -O1 -shared -fPIC -w -D_GNU_SOURCE -I$top_srcdir/include"
backend=$top_srcdir/plugins/backend
mkdir -p "$dir"
for c in "$here"/*.c; do
    name=$(basename "$c" .c)
    case $(grep -o 'include "backend.h"' "$c") in
    '') $cc -o "$dir/$name.so" "$c" -lm ;;
    *) $cc -I"$backend/ref" -I"$backend" -o "$dir/$name.so" "$c" "$backend/ref/conv.c" "$backend/host.c" "$backend/host_conv.c" -lm ;;
    esac
done
