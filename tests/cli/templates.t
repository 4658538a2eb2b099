#!/bin/sh
# Each template against an installed prefix: `plugins new`, make, make check, make install, a run by name. And what `plugins new` refuses.
. "$top_srcdir/tests/cli/tap.sh"
command -v pkg-config >/dev/null 2>&1 || skip_all "pkg-config is not installed"
installed
[ -x "$PUDLE" ] || { done_testing; exit 1; }
mkdir "$work/mine" && cd "$work/mine" || exit 1

for kind in prox loss data; do
    name=my_$kind
    run pudle plugins new $kind $name
    is_success "plugins new $kind"
    ! grep -rqE '@[A-Z]+@' "$name" && [ -f "$name/$name.c" ]
    ok $? "no placeholder is left"
    run make -C $name
    is_success "make: the $kind compiles as it is"
    [ ! -s "$work/err" ]
    ok $? "without a warning"
    [ -s "$work/err" ] && diag "$work/err"
    for compiler in gcc clang; do
        command -v $compiler >/dev/null 2>&1 || continue
        run $compiler -std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror $(pkg-config --cflags pudle-plugin) -fsyntax-only \
            $name/$name.c
        is_success "nor with all of them, $compiler"
    done
    if can_check; then
        run make -C $name check
        is_success "make check: it passes its checks as it is"
        [ "$status" -eq 0 ] || diag "$work/out"
    else
        run sh -c "cd $name && sh ./test.sh"
        is_success "test.sh passes"
    fi
    run make -C $name install
    is_success "make install"
    [ -f "$HOME/.local/share/pudle/abi1/$kind/$name.so" ]
    ok $? "it lies where the user's own plugins are looked for"
    run pudle train $name/example.cfg --out "$work/run-$kind" --quiet --set train.epochs=1
    is_success "its example trains by name"
    run pudle plugins info $name
    grep -q "$HOME/.local/share/pudle/abi1/$kind/$name.so" "$work/out"
    ok $? "plugins info says that it is this one"
done

# ---- what is there stays as it is
echo mine >my_prox/README.md
run pudle plugins new prox my_prox
refuses 2 "my_prox: exists already and is left as it is" "a folder of the name is not touched"
[ "$(cat my_prox/README.md)" = mine ]
ok $? "and has kept its files"
mkdir taken && echo mine >a_file
run pudle plugins new prox soft_threshold
[ "$status" -eq 0 ] && grep -q "there is a prox 'soft_threshold' already" "$work/err"
ok $? "a plugin called as one that is there comes with a warning"
run pudle plugins new prox taken
refuses 2 "exists already" "nor an empty folder"
run pudle plugins new prox a_file
refuses 2 "exists already" "nor a file"
ln -s nowhere a_link
run pudle plugins new prox a_link
refuses 2 "exists already" "nor a link that leads nowhere"

# ---- arguments
for name in Big 1st with-dash a.b ../up "" "$(printf 'a%064d' 0)"; do
    run pudle plugins new prox "$name"
    refuses 2 "is not allowed" "the name '$name' is refused"
done
run pudle plugins new backend mine
refuses 2 "plugins/backend/ref" "there is no template for a backend; where to start is said"
run pudle plugins new porx mine
refuses 2 "there are prox, loss and data" "an unknown kind"
run pudle plugins new prox
refuses 2 "usage: pudle plugins" "a missing name"
run pudle plugins info my_prox --dir "$work"
refuses 2 "--dir belongs to pudle plugins new" "--dir of another command"
run pudle plugins new prox mine --format md
refuses 2 "--format belongs to pudle plugins info" "an option of another command"
run pudle plugins new prox mine --dir "$work/nowhere"
refuses 1 "$work/nowhere/mine: cannot be made" "--dir that does not exist"
mkdir "$work/elsewhere"
run pudle plugins new loss mine --dir "$work/elsewhere"
is_success "--dir"
[ -f "$work/elsewhere/mine/mine.c" ] && [ ! -e mine ]
ok $? "the folder is made there"

# ---- half a folder is none: the last template cannot be read
cp -R "$PUDLE_TEMPLATES" "$work/templates" && head -c 100 /dev/zero >"$work/templates/prox/z.bin"
run env PUDLE_TEMPLATES="$work/templates" "$PUDLE" plugins new prox half
refuses 1 "z.bin: not a template" "a damaged template is named"
run env PUDLE_TEMPLATES="$work/no-templates" "$PUDLE" plugins new prox half
refuses 2 "PUDLE_TEMPLATES" "templates that are not there: what to set"
[ -z "$(find . "$work/elsewhere" -name '*half*' -o -name '.*.new-*')" ]
ok $? "nothing half-written is left behind"

templates=$(env -u PKG_CONFIG_SYSROOT_DIR pkg-config --variable=templatedir pudle-plugin)
[ -n "$templates" ] && [ -f "$work/root$templates/prox/NAME.c" ]
ok $? "pudle-plugin.pc says where the templates are: $templates"
run env -u PUDLE_TEMPLATES "$PUDLE" plugins new prox unset
[ "$status" -eq 0 ] || grep -qF "$templates/common" "$work/err"
ok $? "the program looks there by itself"
run env -u PKG_CONFIG_PATH -u PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_LIBDIR=/nonexistent make -C my_loss
refuses 2 "set PKG_CONFIG_PATH" "make without the installed headers says what is missing"
done_testing
