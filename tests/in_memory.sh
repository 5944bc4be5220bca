#!/bin/sh
# in_memory.sh COMMAND...: runs the command with its temporary files in memory, where that has room and lets programs
# run, and removes them afterwards. It waits for no fsync then; what a power cut takes, tests/chaos finds out without
# a real disk. A TMPDIR that is set already stays.
set -eu

MEMORY=/dev/shm
LEAST_ROOM_KIB=2000000

has_room() {
    room_kib=$(df --output=avail -k "$MEMORY" 2>/dev/null | tail -n 1)
    [ "${room_kib:-0}" -ge "$LEAST_ROOM_KIB" ] && [ -w "$MEMORY" ]
}

if [ -n "${TMPDIR:-}" ] || ! has_room; then exec "$@"; fi
TMPDIR=$(mktemp -d "$MEMORY/coovox.XXXXXX")
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 1' HUP INT TERM
cp /bin/true "$TMPDIR/program"
if "$TMPDIR/program" 2>/dev/null; then export TMPDIR; fi
"$@"
