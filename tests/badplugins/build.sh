#!/bin/sh
# Build the bad plugins of this folder into DIR/KIND/NAME.so, as `expected` lists them; the good one into DIR/good.
# usage: build.sh DIR      environment: CC, top_srcdir
set -e
dir=$1
here=$top_srcdir/tests/badplugins
cc="${CC:-cc} -std=c11 -shared -fPIC -w -I$top_srcdir/include"
mkdir -p "$dir/good/prox" "$dir/prox" "$dir/loss" "$dir/data" "$dir/backend"

$cc -o "$dir/good/prox/good.so" "$here/good.c"
good=$dir/good/prox/good.so

while read -r kind stage name words; do
    case $kind in '#'*) continue ;; esac
    to=$dir/$kind/$name.so
    case $name in
    borrowed_entry) $cc -o "$to" "$here/$name.c" "$good" -Wl,-rpath,"$dir/good/prox" ;;
    text_file) echo 'int main(void) { return 0; }' >"$to" ;;
    empty_file) : >"$to" ;;
    truncated) head -c "$(($(wc -c <"$good") - 8))" "$good" >"$to" ;; # the last section header is cut
    half) head -c "$(($(wc -c <"$good") / 3))" "$good" >"$to" ;;
    object_file) ${CC:-cc} -c -fPIC -I"$top_srcdir/include" -o "$to" "$here/good.c" ;;
    other_machine) cp "$good" "$to" && printf '\377\177' | dd of="$to" bs=1 seek=18 conv=notrunc 2>/dev/null ;; # e_machine
    sectionless) # e_shoff and the section counts are 0, as in stripped files
        cp "$dir/prox/borrowed_entry.so" "$to"
        head -c 8 /dev/zero | dd of="$to" bs=1 seek=40 conv=notrunc 2>/dev/null
        head -c 4 /dev/zero | dd of="$to" bs=1 seek=60 conv=notrunc 2>/dev/null ;;
    directory) mkdir -p "$to" ;;
    *) $cc -o "$to" "$here/$name.c" ;;
    esac
done <"$here/expected"
