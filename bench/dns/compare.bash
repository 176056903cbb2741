# Measures name servers one after another on one core, with the same names, data centres and database: medians of several rounds.
#
# Each server is a file servers/NAME.bash that defines:
#
#   NAME_answers                        nearest: it uses distances; country: it sends each country to one data centre;
#                                       fixed: it sends all clients to the first one and ignores client subnets
#   NAME_available                      succeeds if the program exists; tries to install it before
#   NAME_configure WORLD FOLDER PORT    writes the configuration. WORLD contains world.mmdb and the files of world.py
#   NAME_start FOLDER                   runs the server by exec: one process in the foreground, with one thread that answers

# shellcheck disable=SC2034,SC2154 # bench/run sets the options; servers/ use the zone
zone=bench.example
declare -A pids ports

compare() {
    local server world=$work/world running=()
    check_requirements
    mkdir "$world"
    say "making the test data of seed $seed"
    # gdnsd uses coordinates only if the database type contains `City`.
    cargo run --locked --quiet -p verge-mmdb -- --seed "$seed" --database-type Bench-City --at 127.0.0.0/8=Tokyo \
        --out "$world/world.mmdb" --list "$world/networks.tsv" || die 3 "failed to make the database"
    python3 "$bench/dns/world.py" "$world/networks.tsv" "$world" "$seed" || die 3 "failed to make the queries"
    for server in $servers; do
        [ -f "$bench/dns/servers/$server.bash" ] || die 2 "unknown server $server"
        # shellcheck source=/dev/null
        . "$bench/dns/servers/$server.bash"
        if "${server}_available"; then
            start "$server" "$world"
            running+=("$server")
        else
            say "$server: skipped"
        fi
    done
    [ ${#running[@]} != 0 ] || die 3 "no server is available"
    measure_all "$world" "${running[@]}"
    python3 "$bench/dns/table.py" "$work/results.tsv" "$work/memory.tsv"
    [ "$keep" = no ] || say "files kept in $work"
}

check_requirements() {
    local command core
    have python3 || install python3
    have dnsperf || install dnsperf
    for command in cargo python3 dnsperf taskset; do have $command || die 3 "$command is not installed"; done
    for core in "$server_core" "$client_core"; do taskset -c "$core" true 2>/dev/null || die 3 "core $core does not exist"; done
    [ "$server_core" != "$client_core" ] || die 2 "servers and client need different cores"
}

# start SERVER WORLD: configures and starts a server, waits until it answers, and checks its answers.
start() {
    local server=$1 world=$2 folder=$work/$1 port answers=$1_answers
    mkdir "$folder"
    port=$(python3 "$bench/dns/free_port.py")
    "${server}_configure" "$world" "$folder" "$port" || die 1 "$server: configuration failed"
    (
        taskset -cp "$server_core" "$BASHPID"
        "${server}_start" "$folder"
    ) >"$folder/log" 2>&1 &
    ports[$server]=$port pids[$server]=$!
    processes+=("${pids[$server]}")
    python3 "$bench/dns/check.py" "$world" "$port" ready "${pids[$server]}" || {
        tail -n 20 "$folder/log" >&2
        die 1 "$server does not answer"
    }
    printf '%s: ' "$server" >&2
    python3 "$bench/dns/check.py" "$world" "$port" "${!answers}" >&2 || die 1 "$server: wrong answers"
}

# measure_all WORLD SERVER…: writes results.tsv and memory.tsv.
measure_all() {
    local world=$1 round workload server
    local -A memory_before
    shift
    for server; do memory_before[$server]=$(resident "$server"); done
    for workload in $workloads; do
        [ -f "$world/$workload.queries" ] || die 2 "unknown workload $workload"
        for server; do measure "$server" "$world/$workload.queries" 1 >/dev/null; done
    done
    for ((round = 1; round <= rounds; round++)); do
        say "round $round of $rounds"
        for workload in $workloads; do
            for server; do
                wait_for_quiet
                printf '%s\t%s\t' "$workload" "$server"
                measure "$server" "$world/$workload.queries" "$seconds" || die 1 "$server failed under workload $workload"
            done
        done
    done >"$work/results.tsv"
    for server; do
        printf '%s\t%s\t%s\n' "$server" "${memory_before[$server]}" "$(resident "$server")"
    done >"$work/memory.tsv"
}

# measure SERVER QUERIES SECONDS: prints, separated by tabs, the queries answered, the seconds, and the CPU seconds of the server, of
# the client, and of other processes on their two cores.
measure() {
    local server=$1 queries=$2 time=$3 served busy used log=$work/dnsperf.log TIMEFORMAT='%U %S'
    served=$(cpu_ticks "$server") busy=$(busy_ticks)
    { time taskset -c "$client_core" dnsperf -s 127.0.0.1 -p "${ports[$server]}" -B -d "$queries" -c 4 -T 1 -q 100 -l "$time" \
        >"$log" 2>&1; } 2>"$work/time" || { cat "$log" >&2; return 1; }
    served=$(($(cpu_ticks "$server") - served)) busy=$(($(busy_ticks) - busy))
    read -r used <"$work/time"
    awk -v served=$served -v busy=$busy -v used="$used" -v hertz="$(getconf CLK_TCK)" '
        /Queries sent:/ { sent = $3 }
        /Queries completed:/ { completed = $3 }
        /NOERROR/ { for (field = 1; field < NF; field++) if ($field == "NOERROR") right = $(field + 1) }
        /Run time/ { time = $4 }
        END {
            split(used, client, " ")
            client_time = client[1] + client[2]
            others = busy / hertz - served / hertz - client_time
            printf "%d\t%.6f\t%.2f\t%.2f\t%.2f\n", completed, time, served / hertz, client_time, others
            exit !(completed > 0 && completed == right && completed >= 0.999 * sent)
        }' "$log" || { cat "$log" >&2; return 1; }
}

# cpu_ticks SERVER: user and system time of all its threads. The fields after the process name, which ends with a parenthesis.
cpu_ticks() {
    local fields
    fields=$(<"/proc/${pids[$1]}/stat")
    read -ra fields <<<"${fields##*) }"
    echo $((fields[11] + fields[12]))
}

# Waits until both cores have been nearly idle for half a second, for at most $quiet_timeout seconds.
wait_for_quiet() {
    local end=$((SECONDS + quiet_timeout)) before
    while [ $SECONDS -lt $end ]; do
        before=$(busy_ticks)
        sleep 0.5
        [ $((($(busy_ticks) - before) * 10)) -gt "$(getconf CLK_TCK)" ] || return 0
    done
}

# Ticks in which the two cores were busy or used by other guests of the host.
busy_ticks() {
    awk -v server="cpu$server_core" -v client="cpu$client_core" '
        $1 == server || $1 == client { busy += $2 + $3 + $4 + $7 + $8 + $9 }
        END { print busy }' /proc/stat
}

# resident SERVER: its resident memory in KiB.
resident() { awk '/^VmRSS:/ { print $2 }' "/proc/${pids[$1]}/status"; }
