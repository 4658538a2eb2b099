#!/bin/sh
# docs/plugin-guide.md and docs/min-min.md, done: their blocks in order, each document in an empty folder, against an installed prefix. The fence of a block says
# what it is:
#   sh                   commands that succeed
#   sh fails             commands of which one fails, and is the last
#   sh mnist             commands that need the files of MNIST
#   out                  lines of what the last commands printed
#   LANGUAGE file=NAME   a file to write
#   LANGUAGE in=NAME     lines that stand in a file
. "$top_srcdir/tests/cli/tap.sh"
command -v pkg-config >/dev/null 2>&1 || skip_all "pkg-config is not installed"
MNIST=
for folder in "$shared/data/mnist" /usr/share/datasets/fashion-mnist; do
    [ ! -d "$folder" ] || MNIST=$(cd "$folder" && pwd)
done
export MNIST
installed
[ -x "$PUDLE" ] || { done_testing; exit 1; }

EXPERIMENTS=$(find "$work/root" -type d -path '*/pudle/experiments')
export EXPERIMENTS

# commands BLOCK: where the last ones left off; the folder they end in is kept when they succeed
commands() {
    script=$1
    if ! can_check; then
        sed '/make/s/ check/ all/' "$1" >"$work/script" # as far as one gets
        script=$work/script
    fi
    (cd "$(cat "$work/cwd")" && sh -e -c '. "$1"; pwd >"$2"' guide "$script" "$work/cwd") >"$work/printed" 2>&1 </dev/null
    status=$?
}

# printed BLOCK: its lines were printed in this order, "..." standing for anything, whatever the spaces
printed() {
    awk 'function squeeze(s) { gsub(/[ \t]+/, " ", s); sub(/^ /, "", s); sub(/ $/, "", s); return s }
         function matches(line, want,   part, parts, i, at) {
             parts = split(want, part, /\.\.\./)
             for (i = 1; i <= parts; i++) {
                 part[i] = squeeze(part[i])
                 if (part[i] == "") continue
                 if (!(at = index(line, part[i]))) return 0
                 line = substr(line, at + length(part[i]))
             }
             return 1
         }
         NR == FNR { if (squeeze($0) != "") want[++wanted] = squeeze($0); next }
         next_one < wanted && matches(squeeze($0), want[next_one + 1]) { next_one++ }
         END { if (next_one < wanted) { print "not printed: " want[next_one + 1]; exit 1 } }' "$1" "$work/printed"
}

# stands BLOCK FILE: every line of the block is a line of the file, one after another
stands() {
    awk 'NR == FNR { want[++wanted] = $0; next }
         { have[++lines] = $0 }
         END { for (i = 0; i + wanted <= lines; i++) {
                   for (k = 1; k <= wanted && have[i + k] == want[k]; k++);
                   if (k > wanted) exit 0
               }
               exit 1 }' "$1" "$2"
}

# document NAME: all blocks of docs/NAME.md, read in the folder $work/NAME
document() {
    mkdir "$work/blocks-$1" "$work/$1"
    awk -v to="$work/blocks-$1" '
        /^```/ && !inside { inside = 1; n++; name = sprintf("%s/%03d", to, n); print NR, substr($0, 4) >name ".is"; printf "" >name; next }
        /^```/ { inside = 0; close(name); close(name ".is"); next }
        inside { print >name }' "$top_srcdir/docs/$1.md"
    echo "$work/$1" >"$work/cwd"
    cd "$work/$1" || exit 1
    skipped=
    for block in "$work/blocks-$1"/???; do
        read -r line kind mark rest <"$block.is"
        here="$1.md, line $line: $kind${mark:+ $mark}"
        cwd=$(cat "$work/cwd")
        case $kind:$mark in
        sh:mnist)
            skipped=
            if [ -z "$MNIST" ]; then
                skipped="no files of MNIST or Fashion-MNIST"
                tap_count=$((tap_count + 1))
                echo "ok $tap_count - $here # SKIP $skipped"
                continue
            fi
            commands "$block"
            ok "$status" "$here: $(tail -n 1 "$block")"
            [ "$status" -eq 0 ] || diag "$work/printed" ;;
        sh: | sh:fails)
            skipped=
            commands "$block"
            [ "$mark" != fails ] || { [ "$status" -eq 0 ]; status=$((!$?)); }
            ok "$status" "$here: $(tail -n 1 "$block")"
            [ "$status" -eq 0 ] || diag "$work/printed" ;;
        out:)
            [ -z "$skipped" ] || continue
            printed "$block" >"$work/why"
            status=$?
            ok "$status" "$here"
            [ "$status" -eq 0 ] || diag "$work/why" "$work/printed" ;;
        *:file=*)
            cp "$block" "$cwd/${mark#file=}"
            ok $? "$here" ;;
        *:in=*)
            stands "$block" "$cwd/${mark#in=}"
            ok $? "$here: these lines stand in the file" ;;
        *) ok 1 "$here: a block that this test does not know: give it one of the marks it explains" ;;
        esac
    done
}
document plugin-guide
document min-min

# ---- claims beyond the commands
lines=$(wc -l <"$work/plugin-guide/p_shrinkage/p_shrinkage.c")
[ "$lines" -le 40 ]
ok $? "the prox of the guide has at most 40 lines ($lines)"

# mistyped SED LINE-PATTERN WHAT: the compiler's first error is at the author's line
mistyped() {
    sed "$1" "$work/plugin-guide/p_shrinkage/p_shrinkage.c" >"$work/typo.c"
    line=$(grep -n -- "$2" "$work/typo.c" | head -n 1 | cut -d: -f1)
    for compiler in gcc clang; do
        command -v $compiler >/dev/null 2>&1 || continue
        run $compiler -std=c11 -fsyntax-only $(pkg-config --cflags pudle-plugin) "$work/typo.c"
        grep ' error:' "$work/err" | head -n 1 | grep -q "typo.c:$line:"
        ok $? "$3: $compiler shows line $line of the author's file"
    done
}
mistyped 's/pudle_abs(v) <= t/pudle_abs(w) <= t/' 'pudle_abs(w)' "an unknown name"
mistyped 's/1 + q \* ratio/1 + q ratio/' '1 + q ratio' "a forgotten operator"
mistyped 's/o->p, ratio/o->power, ratio/' 'o->power' "an option that does not exist"
mistyped 's/dt\[0\] =/dt =/' '    dt =' "a number for an array"
mistyped 's/o->p, a = /o->q, a = /' 'o->q, a' "in the penalty"
done_testing
