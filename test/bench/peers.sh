# test/bench/peers.sh - other servers to compare with
#
# Sourced by test/bench/run.  They are Debian's packages, installed if they can
# be, and started by
#
#	start_redis			sets REDIS_SOCK
#	start_memcached		with pgmemcache in the database bench
#	start_pgpool		sets POOL, its socket directory, and POOL_CLOCK
#
# as the user that owns $WORK, on Unix sockets there, and stopped, by their pids,
# by stop_peers or at the end.  Each returns false, and leaves a reason in WHY, if it cannot be had.

PEERS=()					# NAME=pid, of those that run
POOL= POOL_PORT=9999 REDIS_SOCK=
VERSIONS=					# of what ran, for the tables
MADE_POLICY=

# fetch_packages PACKAGE...: without starting the services that they bring.
fetch_packages()
{
	local policy=/usr/sbin/policy-rc.d rc

	WHY="$* cannot be installed here"
	am_root && command -v apt-get >/dev/null || return
	say "    apt-get install $*"
	if [ ! -e $policy ]; then
		MADE_POLICY=$policy
		printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy
	fi
	DEBIAN_FRONTEND=noninteractive try_install "$@" >"$WORK/apt.log" 2>&1 ||
		{ (update_lists) >/dev/null 2>&1 && DEBIAN_FRONTEND=noninteractive try_install "$@" >"$WORK/apt.log" 2>&1; }
	rc=$?
	[ -z "$MADE_POLICY" ] || rm -f "$MADE_POLICY"
	MADE_POLICY=
	return $rc
}

# has_extension NAME: is it there for our server?
has_extension()
{
	[ -f "$("$PG_CONFIG" --sharedir)/extension/$1.control" ]
}

# run_peer NAME PIDFILE COMMAND...: start it and wait for its pid
run_peer()
{
	local name=$1 file=$2 i pid

	shift 2
	as_user "$@" >"$WORK/$name.log" 2>&1 </dev/null &
	for ((i = 0; i < 100; i++)); do
		pid=$(tr -cd 0-9 2>/dev/null <"$file")
		[ -n "$pid" ] && PEERS+=("$name=$pid") && return
		sleep 0.1
	done
	WHY="$name does not start: $(tail -1 "$WORK/$name.log")"
	return 1
}

# wait_for COMMAND...: until it succeeds
wait_for()
{
	local i

	for ((i = 0; i < 100; i++)); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	WHY="$1 fails"
	return 1
}

version()
{
	case ", $VERSIONS," in *", $1,"*) ;; *) VERSIONS+=${VERSIONS:+, }$1 ;; esac
}

# What runs on the processors of the server: the peers' pids.
peer_pids()
{
	local p

	for p in ${PEERS[@]+"${PEERS[@]}"}; do
		say "${p#*=}"
	done
	[ -z "$POOL" ] || say $POOL_CHILDREN
}

stop_peers()
{
	local p pid i

	[ -z "$MADE_POLICY" ] || rm -f "$MADE_POLICY"
	for p in ${PEERS[@]+"${PEERS[@]}"}; do
		pid=${p#*=}
		case $(readlink "/proc/$pid/cwd" 2>/dev/null) in "$WORK" | "$WORK"/*) ;; *) continue ;; esac
		kill -INT "$pid" 2>/dev/null
		for ((i = 0; i < 50; i++)); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
	done
	PEERS=() POOL= REDIS_SOCK=
}

# ---------------------------------------------------------------------------

start_redis()
{
	[ -z "$REDIS_SOCK" ] || return 0
	command -v redis-server >/dev/null && command -v redis-benchmark >/dev/null ||
		fetch_packages redis-server redis-tools || return
	run_peer redis "$WORK/redis.pid" redis-server --port 0 --unixsocket "$WORK/redis.sock" --save '' \
		--appendonly no --dir "$WORK" --pidfile "$WORK/redis.pid" || return
	wait_for redis-cli -s "$WORK/redis.sock" PING || return
	REDIS_SOCK=$WORK/redis.sock
	version "Redis $(redis-server --version | sed 's/.* v=\([0-9.]*\).*/\1/')"
}

# PL/Python with Debian's redis-py, which keeps its connection.
make_redis_get()
{
	{ has_extension plpython3u && /usr/bin/python3 -c 'import redis' 2>/dev/null; } ||
		fetch_packages "postgresql-plpython3-$MAJOR" python3-redis || return
	WHY='plpython3u or redis-py fails'
	q -o /dev/null -c 'CREATE EXTENSION IF NOT EXISTS plpython3u' -c "
		CREATE OR REPLACE FUNCTION redis_get(key text) RETURNS text LANGUAGE plpython3u AS \$\$
if 'redis' not in GD:
    import redis
    GD['redis'] = redis.Redis(unix_socket_path='$REDIS_SOCK', decode_responses=True)
return GD['redis'].get(key)
\$\$" -c "SELECT redis_get('none')" || return
	version "redis-py $(/usr/bin/python3 -c 'import redis; print(redis.__version__)')"
}

start_memcached()
{
	{ command -v memcached >/dev/null && has_extension pgmemcache; } ||
		fetch_packages memcached "postgresql-$MAJOR-pgmemcache" || return
	run_peer memcached "$WORK/memcached.pid" memcached -s "$WORK/memcached.sock" -a 0700 -t 2 -m 64 \
		-P "$WORK/memcached.pid" || return
	wait_for test -S "$WORK/memcached.sock" || return
	WHY='pgmemcache fails'
	q -o /dev/null -c 'CREATE EXTENSION pgmemcache' \
		-c "ALTER DATABASE bench SET pgmemcache.default_servers = '$WORK/memcached.sock'" &&
		q -o /dev/null -c 'SELECT memcache_stats()' || return
	version "$(memcached -V)"
	version "pgmemcache $(q -c "SELECT extversion FROM pg_extension WHERE extname = 'pgmemcache'")"
}

# In raw mode, which has the least to do for a call.  Everything that works now
# and then is off, as in the server.
start_pgpool()
{
	local dir=$WORK/pgpool pgpool

	pgpool=$(PATH=$PATH:/usr/sbin command -v pgpool) ||
		{ fetch_packages pgpool2 && pgpool=$(PATH=$PATH:/usr/sbin command -v pgpool); } || return
	as_user mkdir -p "$dir/oid"
	as_user tee "$dir/pgpool.conf" >/dev/null <<-END
		backend_clustering_mode = 'raw'
		backend_hostname0 = '$HOST'
		backend_port0 = 5432
		backend_data_directory0 = '$HOST/data'
		listen_addresses = ''
		pcp_listen_addresses = ''
		port = $POOL_PORT
		pcp_port = $((POOL_PORT + 1))
		socket_dir = '$dir'
		pcp_socket_dir = '$dir'
		wd_ipc_socket_dir = '$dir'
		work_dir = '$dir'
		logdir = '$dir'
		pid_file_name = '$dir/pgpool.pid'
		pool_passwd = ''
		num_init_children = 10
		child_life_time = 0
		memory_cache_enabled = on
		memqcache_method = 'shmem'
		memqcache_oiddir = '$dir/oid'
		memqcache_expire = 0
	END
	run_peer pgpool "$dir/pgpool.pid" "$pgpool" -n -f "$dir/pgpool.conf" -F "$dir/pcp.conf" -a "$dir/pool_hba.conf" || return
	WHY='pgpool does not answer'
	HOST=$dir PORT=$POOL_PORT wait_for q -c 'SELECT 1' || return
	POOL=$dir
	version "$("$pgpool" --version 2>&1 | sed 's/ version \([0-9.]*\).*/ \1/')"
	POOL_CHILDREN=$(pool_sql 'SHOW pool_processes' | cut -d'|' -f1)
}

# pool_sql SQL
pool_sql()
{
	HOST=$POOL PORT=$POOL_PORT q -c "$1"
}

redis_cli()
{
	redis-cli -s "$REDIS_SOCK" "$@"
}
