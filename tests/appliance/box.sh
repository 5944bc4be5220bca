#!/bin/sh
# The first process of a box, in namespaces of its own: mounts what a machine has, goes into the box's root file
# system, and becomes its systemd, or sleeps where none is wanted.
#   box.sh WORK LAYERS systemd|none
set -e
work=$1 layers=$2 first=$3
root=$work/root

mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$layers,upperdir=$work/upper,workdir=$work/work" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
if [ "$first" = systemd ]; then
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        mount -t cgroup2 cgroup2 sys/fs/cgroup
    else
        mount -t tmpfs tmpfs sys/fs/cgroup
        mkdir sys/fs/cgroup/unified
        mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
    fi
fi
mount -t tmpfs -o mode=0755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=0755 tmpfs dev
for node in null zero full random urandom tty; do
    touch dev/$node
    mount --bind /dev/$node dev/$node
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ip link set lo up
hostname box

mkdir -p .outside
pivot_root . .outside
umount -l /.outside
exec </dev/null
touch /run/box-is-up
if [ "$first" = systemd ]; then
    exec env -i container=box PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=null
fi
exec sleep infinity
