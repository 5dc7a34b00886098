# Owns one throw-away cluster: creates it, starts and stops its server, and
# removes it once standard input ends.
#
# Only the process that uses the cluster holds the other end of standard input,
# so its end means that process is gone, however it went. Commands arrive one a
# line, and each is answered with one line. Standard error is the server's log.
#
# Arguments: the directory of PostgreSQL's programs, the cluster's directory.
bin=$1
dir=$2
data=$2/data

# Neither a ctrl-c meant for the owner nor a reader who has gone away may end
# this process before it has cleaned up.
trap '' HUP INT QUIT TERM PIPE

# Ignored signals would be inherited, so the tools get the usual ones back.
run() {
    (
        trap - HUP INT QUIT TERM PIPE
        exec "$@"
    ) </dev/null >&2
}

create() {
    run "$bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --no-locale --no-sync --no-instructions &&
        cat "$dir/cluster.conf" >>"$data/postgresql.conf"
}

start() {
    run "$bin/pg_ctl" start -s -w -t 30 -D "$data"
}

crash() {
    [ -f "$data/postmaster.pid" ] || return 0
    read -r pid <"$data/postmaster.pid"
    # A stopped process would not see the signal to end.
    kill -CONT "$pid" 2>/dev/null
    run "$bin/pg_ctl" stop -s -w -t 10 -m immediate -D "$data" ||
        kill -KILL "$pid" 2>/dev/null
    return 0
}

# As an operator restarts it: open transactions are rolled back, and nobody is waited for.
stop() {
    [ -f "$data/postmaster.pid" ] || return 0
    run "$bin/pg_ctl" stop -s -w -t 30 -D "$data" -m fast
}

# The server's last processes may still write while the files go.
remove() {
    attempts=0
    until rm -rf "$dir" 2>/dev/null || [ "$attempts" -ge 50 ]; do
        attempts=$((attempts + 1))
        sleep 0.1
    done
}

while read -r command; do
    case $command in
    create | start | crash | stop) "$command" && answer=done || answer=failed ;;
    *) answer=failed ;;
    esac
    echo "$answer" 2>/dev/null
done

crash
remove
