#!/bin/dash
# Process 1 of the virtual machine: runs the tests at the places in the control
# groups where people start lambdad, prints how each ended, and powers off.
/bin/busybox ln -s dash /bin/sh
/bin/busybox --install -s /bin 2>/dev/null
export PATH=/bin HOME=/ TMPDIR=/var/tmp
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t tmpfs run /run
mkdir -p /dev/shm /var/tmp; mount -t tmpfs shm /dev/shm
C=/sys/fs/cgroup
mount -t cgroup2 -o nsdelegate cgroup2 $C
ip link set lo up; hostname guest
export LAMBDAD_TEST_BINARY=/t/lambdad LAMBDAD_SANDBOXTEST_BUILT=/t LAMBDAD_VM_FUNCTION=/t/function
cd /t
# run NAME COMMAND...
run() { name=$1; shift; "$@" >/run/log 2>&1; code=$?; sed "s/^/$name| /" /run/log; echo "RESULT $name $code"; }
suite='^TestSuite$/^(Limits|Freeze|Destroy|NothingLeft|Crash)$/^(memory|cpu|strict|stands still.*|running|frozen)$'

run root ./cgroup.test -test.v
run root-escapes ./isolation.test -test.run TestEscapes

# A service with fewer controllers than there are.
echo "+memory +pids" >$C/cgroup.subtree_control; mkdir -p $C/system.slice/few.service
echo "+memory +pids" >$C/system.slice/cgroup.subtree_control
# inside GROUP COMMAND...: alone in the group, as a service is
inside() { g=$C/$1; shift; sh -c 'echo $$ >'$g'/cgroup.procs && exec "$@"' - "$@"; }
run service inside system.slice/few.service ./container.test -test.v -test.run "$suite"

# A delegated service.
echo "+cpu" >$C/cgroup.subtree_control; mkdir -p $C/system.slice/delegated.service
echo "+cpu" >$C/system.slice/cgroup.subtree_control
run delegated inside system.slice/delegated.service ./container.test -test.v -test.run "$suite"
[ -d $C/system.slice/delegated.service/lambdad.daemon ]; echo "RESULT delegated-place $?"

# A login session: a shell stays in the group. Here a whole lambdad runs.
mkdir -p $C/user.slice/session-1.scope
run session inside user.slice/session-1.scope sh -c './guest.test -test.v; code=$?; exit $code'
[ ! -d $C/user.slice/session-1.scope/lambdad.daemon ]; echo "RESULT session-place $?"

# A container: its topmost group is not the host's, and a shell is in it too.
mkdir -p $C/container
run container inside container unshare -C -m sh -c "umount $C; mount -t cgroup2 cgroup2 $C && ./container.test -test.v -test.run '$suite'"
[ -d $C/container/lambdad.daemon ]; echo "RESULT container-place $?"

# A user to whom a group was given.
run rootless ./container.test -test.v -test.run '^TestRootlessDelegated$'

find $C -name 'lambdad-*' -type d >/run/left; [ ! -s /run/left ]; echo "RESULT nothing-left $?"; cat /run/left
poweroff -f
