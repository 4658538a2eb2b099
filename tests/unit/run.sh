#!/bin/sh
# Run a cmocka program. cmocka 1.1 reports a skipped test as "not ok N # SKIP", which by TAP's rules is a failure: say "ok".
exec 3>&1
status=$({ { "$@" 3>&- 4>&-; echo $? >&4; } | sed 's/^not ok \([0-9]* # SKIP\)/ok \1/' >&3 3>&- 4>&-; } 4>&1)
exit "$status"
