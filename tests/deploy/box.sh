# Runs a Debian package's server in a root of its own: this system below, the package and the
# test's files above, in memory. Nothing of it is left, and the package's fixed paths hold.
# usage: box.sh WORK PACKAGE_ROOT FILES PREPARE COMMAND   (in a mount and PID namespace of its own)
set -eu
work=$1 package=$2 files=$3 prepare=$4 command=$5

mount -t tmpfs tmpfs "$work" || exit 77
cd "$work"
mkdir above scratch root
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/above,workdir=$work/scratch" root || exit 77
tar -C "$package" -c . | tar -C root -x --keep-directory-symlink
cp -R "$files"/. root/
mount --rbind /dev root/dev
mount -t proc proc root/proc
mount -t tmpfs tmpfs root/run
mkdir -p root/run/lock
exec chroot root sh -c "set -e; $prepare
exec $command"
