#!/bin/sh
# Each installed header compiles alone, in C11 and in C++17, with gcc and with clang, without a warning.
. "$top_srcdir/tests/cli/tap.sh"
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"

# compile COMPILER LANGUAGE STANDARD HEADER
compile() {
    echo "#include <pudle/$4>" >"$work/alone.$2"
    run "$1" "-std=$3" $warnings -fsyntax-only -I"$top_srcdir/include" "$work/alone.$2"
    is_success "$4 alone, $1 -std=$3"
}

all() {
    if ! command -v "$1" >/dev/null 2>&1; then
        tap_count=$((tap_count + 1))
        echo "ok $tap_count - $1 # SKIP not installed"
        return
    fi
    for header in "$top_srcdir"/include/pudle/*.h; do
        compile "$1" "$2" "$3" "$(basename "$header")"
    done
}

all gcc c c11
all clang c c11
all g++ cc c++17
all clang++ cc c++17

# What is installed is what was tested.
listed=$(sed -n '/^pkginclude_HEADERS/,/[^\\]$/p' "$top_srcdir/Makefile.am" | tr ' \\' '\n\n' |
    grep '^include/pudle/' | sort)
present=$(cd "$top_srcdir" && ls include/pudle/*.h | sort)
[ "$listed" = "$present" ]
ok $? "Makefile.am installs every header of include/pudle"
grep -lE '#include *[<"]config\.h|HAVE_|PACKAGE_' "$top_srcdir"/include/pudle/*.h >"$work/found"
[ ! -s "$work/found" ]
ok $? "no header depends on config.h"

# Every struct that crosses the border is frozen. The others live inside one binary.
for struct in $(sed -n 's/^typedef struct \(pudle_[a-z_]*\) {.*/\1/p' "$top_srcdir"/include/pudle/*.h); do
    case $struct in pudle_random | pudle_code_shape | pudle_code_runs) continue ;; esac
    grep -q "SIZE($struct," "$top_srcdir/tests/abi/layout.c"
    ok $? "the layout of $struct is frozen in tests/abi/layout.c"
done
done_testing
