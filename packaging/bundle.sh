#!/bin/sh
# @SHA256@
# CooVox Billing @VERSION@ for Debian @RELEASE@ on @ARCHITECTURE@, with all Debian packages that it needs.
#   sudo sh THIS-FILE            install it
#   sh THIS-FILE --check         only look whether this file is whole and fits this box
#   sh THIS-FILE --help          what it does, and its exit status
# What follows the last line of this script is a tar archive.

# A shell reads on only after this: of a damaged file nothing else is run. Once more below, should the damage be here.
sum=$({ head -n 1 "$0"; tail -n +3 "$0"; } | sha256sum | cut -d' ' -f1)
if [ "# $sum" != "$(sed -n 2p "$0")" ]; then
    echo "CooVox Billing was not installed, and nothing was changed: this file is damaged or was not copied wholly." >&2
    echo "Copy it again, and compare its SHA-256 with the one of where it came from. Run it as: sudo sh FILE" >&2
    exit 1
fi

VERSION=@VERSION@
RELEASE=@RELEASE@
ARCHITECTURE=@ARCHITECTURE@
HEAD_LINES=@HEAD_LINES@

refuse() {
    printf 'CooVox Billing was not installed, and nothing was changed: %s\n' "$*" >&2
    exit 1
}

# Of the whole file but its second line, which holds the sum.
check_whole() {
    wanted=$(sed -n '2s/^# //p' "$file")
    found=$({ head -n 1 "$file"; tail -n +3 "$file"; } | sha256sum | cut -d' ' -f1)
    if [ "$wanted" != "$found" ]; then
        refuse "this file is damaged or was not copied wholly. Copy it again."
    fi
}

check_box() {
    if ! command -v dpkg >/dev/null || ! command -v apt-get >/dev/null; then
        refuse "this is no Debian system: there is no dpkg and apt-get."
    fi
    architecture=$(dpkg --print-architecture)
    if [ "$architecture" != "$ARCHITECTURE" ]; then
        refuse "it is for $ARCHITECTURE, and this box is $architecture. Take the file for $architecture."
    fi
    # shellcheck disable=SC1090,SC1091
    release=$(. "${OS_RELEASE:-/etc/os-release}" && echo "${VERSION_CODENAME:-unknown}")
    if [ "$release" != "$RELEASE" ]; then
        refuse "it is for Debian $RELEASE, and this box runs $release. Take the file for $release."
    fi
    broken=$(dpkg --audit)
    if [ -n "$broken" ]; then
        refuse "an earlier installation on this box was interrupted. Run dpkg --configure -a, then try again."
    fi
}

check_room() {
    needed=$(($(wc -c <"$file") * 6 / 1000000 + 40))
    for place in "${TMPDIR:-/tmp}" /usr; do
        if [ ! -d "$place" ]; then refuse "there is no directory $place: name one for temporary files with TMPDIR=."; fi
        free=$(($(df -Pk "$place" | awk 'NR == 2 { print $4 }') / 1000))
        if [ "$free" -lt "$needed" ]; then
            refuse "$place has $free MB free, and $needed MB are needed. Make room there (or name another place for temporary files with TMPDIR=)."
        fi
    done
}

unpack() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/coovox-billing.XXXXXX") || refuse "no temporary directory can be made."
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' INT TERM HUP
    # apt reads as a user of its own.
    chmod 0755 "$work"
    tail -n "+$((HEAD_LINES + 1))" "$file" | tar -x -C "$work" || refuse "this file cannot be unpacked in $work. Copy it again."
    (cd "$work" && sha256sum --check --strict --quiet SHA256SUMS >/dev/null 2>&1) ||
        refuse "a package in this file is not the one that was put in. Copy it again."
}

# apt with this file's packages for its archive and none other, and lists of its own.
apt() {
    apt-get -q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Get::List-Cleanup=0 -o Acquire::Languages=none \
        -o DPkg::Options::=--force-confdef -o DPkg::Options::=--force-confold --no-install-recommends "$@"
}

install_packages() {
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    echo "deb [trusted=yes] file:$work ./" >"$work/sources.list"
    apt update >"$work/log" 2>&1 || { cat "$work/log" >&2; refuse "apt cannot read the packages of this file; its words are above."; }
    if ! apt install -y --simulate --no-remove "coovox-billing=$VERSION" >"$work/log" 2>&1; then
        cat "$work/log" >&2
        refuse "the packages of this box and those of this file do not go together; apt's words are above. Bring the box up to date, or take a newer file."
    fi
    apt install -y --no-remove "coovox-billing=$VERSION"
}

help() {
    cat <<END
CooVox Billing $VERSION for Debian $RELEASE on $ARCHITECTURE, with all Debian packages that it needs: no internet is used.

  sudo sh FILE        install it, or bring what is installed to this version; the data stays
  sh FILE --check     only look whether this file is whole and is for this box; needs no root
  sh FILE --help      this

Checked before anything is changed: the SHA-256 of this file and of each package in it, Debian's release and the
architecture, room on the disk, and by apt whether the packages go together with those of the box. No package is removed.

Exit status: 0 done; 1 refused, with the reason, and nothing was changed; 100 apt failed while it installed.
END
}

main() {
    file=$0
    case "$1" in --help | -h) help; exit 0 ;; esac
    check_whole
    check_box
    case "$1" in
        --check) echo "This file is whole, and is for this box."; exit 0 ;;
        "") ;;
        *) refuse "$1 is unknown: run it without words, or with --check or --help." ;;
    esac
    if [ "$(id -u)" -ne 0 ]; then refuse "installing needs root: sudo sh $file"; fi
    check_room
    unpack
    install_packages
    exit $?
}

main "$@"
