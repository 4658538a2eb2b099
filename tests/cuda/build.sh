#!/bin/sh
# Build the cuda backend on the fake device of this folder into DIR/backend/cuda.so, and its kernels into DIR/kernels.so.
# usage: build.sh DIR    environment: CC, CXX, top_srcdir, top_builddir; KERNELS: a folder with other sources of kernels; KERNEL_FLAGS, for these
set -e
dir=$1
cuda=$top_srcdir/plugins/backend/cuda
mkdir -p "$dir/backend"
make -s -C "$top_builddir" plugins/backend/cuda/texts.h >&2
${CXX:-c++} -std=c++17 -O2 -Wall -Wextra -ffp-contract=off ${KERNEL_FLAGS:-} -shared -fPIC -x c++ -o "$dir/kernels.so" \
    "${KERNELS:-$cuda/kernels}/kernels.cu"
${CC:-cc} -std=c11 -O3 -Wall -Wextra -D_GNU_SOURCE -shared -fPIC -fvisibility=hidden -I"$top_srcdir/include" -I"$cuda" \
    -I"$top_builddir/plugins/backend/cuda" -o "$dir/backend/cuda.so" "$top_srcdir/tests/cuda/fake.c" \
    "$top_srcdir/tests/cuda/fake_kernels.c" "$top_srcdir/tests/cuda/fake_products.c" "$cuda/cuda.c" "$cuda/arrays.c" \
    "$cuda/conv.c" "$cuda/filters.c" "$cuda/plugins.c" "$cuda/unroll.c" "$cuda/jit.c" "$cuda/cache.c" "$cuda/source.c" "$top_srcdir/plugins/backend/host.c" \
    "$top_srcdir/plugins/backend/host_conv.c" -lm -ldl
