# test/lib.sh - what test/check, test/demo/run and test/bench/run share
#
# Sourced by bash.  A caller sets its name and calls, in this order,
#
#	need_packages [tap]	find PostgreSQL; as root on Debian, fetch what is missing
#	make_workdir		$WORK, owned by the user that the servers run as
#	copy_tree			the sources, without anything built, in $WORK/src
#	build_install DIR	build a tree and install it under $WORK/inst
#	local_conf			print the postgresql.conf lines that find it there
#
# Nothing is installed into the system but packages, no existing cluster is
# touched, and on exit all servers whose data lies in $WORK are stopped and
# $WORK is removed, unless KEEP_WORK is set by then.
#
# PG_CONFIG	names the installation to use; by default the one in the PATH, else
#			the newest under /usr/lib/postgresql
# RUN_AS	as root: the unprivileged user to run as; default postgres, or nobody

set -uo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PROGRAM=$(basename "$ROOT")
MIN_MAJOR=15
WORK=
KEEP_WORK=
JOB=

say()
{
	printf '%s\n' "$*"
}

die()
{
	printf '%s: %s\n' "$PROGRAM" "$*" >&2
	exit 1
}

am_root()
{
	[ "$(id -u)" = 0 ]
}

# The caller's make and libpq settings are none of our business.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
for var in $(compgen -e PG); do
	[ "$var" = PG_CONFIG ] || unset "$var"
done
export LC_ALL=C.UTF-8

# ---------------------------------------------------------------------------
# Finding PostgreSQL, and packages
# ---------------------------------------------------------------------------

# Is this pg_config that of a server, with headers, that we support?
usable()
{
	local pgxs bindir

	pgxs=$("$1" --pgxs 2>/dev/null) && bindir=$("$1" --bindir) || return 1
	[ -f "$pgxs" ] && [ -x "$bindir/postgres" ] && [ -x "$bindir/initdb" ] &&
		[ "$(major_of "$1")" -ge $MIN_MAJOR ]
}

major_of()
{
	"$1" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/'
}

# Sets PG_CONFIG, BINDIR and MAJOR, or returns false.
find_postgres()
{
	local c

	if [ -n "${PG_CONFIG:-}" ]; then
		usable "$PG_CONFIG" ||
			die "$PG_CONFIG is not the pg_config of a PostgreSQL server $MIN_MAJOR or later with its headers"
	else
		for c in pg_config $(printf '%s\n' /usr/lib/postgresql/*/bin/pg_config | sort -rV); do
			usable "$c" && PG_CONFIG=$c && break
		done
		[ -n "${PG_CONFIG:-}" ] || return 1
	fi
	PG_CONFIG=$(command -v "$PG_CONFIG")
	BINDIR=$("$PG_CONFIG" --bindir)
	MAJOR=$(major_of "$PG_CONFIG")
	export PG_CONFIG
}

# The major version to install: of a server that lacks only its headers, else
# what this Debian release ships.
debian_major()
{
	local d v=

	for d in $(printf '%s\n' /usr/lib/postgresql/*/bin/postgres | sort -V); do
		[ -x "$d" ] && v=${d#/usr/lib/postgresql/} && v=${v%%/*}
	done
	if [ "${v:-0}" -ge $MIN_MAJOR ]; then
		echo "$v"
		return
	fi
	apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -1
}

# need_packages [tap]: sets PG_CONFIG, BINDIR, MAJOR.
need_packages()
{
	local missing=() major= have_debian= tools=()

	command -v apt-get >/dev/null && have_debian=1
	command -v make >/dev/null || missing+=(make)
	command -v "${CC:-gcc}" >/dev/null && [ -f /usr/include/stdio.h ] || missing+=(gcc libc6-dev)
	command -v pkg-config >/dev/null || missing+=(pkgconf)
	pkg-config --exists hiredis 2>/dev/null || missing+=(libhiredis-dev)
	pkg-config --exists openssl 2>/dev/null || missing+=(libssl-dev)
	pkg-config --exists liblz4 2>/dev/null || missing+=(liblz4-dev)
	if [ "${1:-}" = tap ]; then
		command -v redis-server >/dev/null || tools+=(redis-server)
		/usr/bin/python3 -c 'import redis' 2>/dev/null || tools+=(python3-redis)
		PATH=$PATH:/usr/sbin command -v pgbouncer >/dev/null || tools+=(pgbouncer)
		command -v node >/dev/null || tools+=(nodejs node-pg)
		[ -d "${CEXT_NODE_MODULES:-/usr/share/nodejs}/redis" ] || tools+=(node-redis)
		command -v prove >/dev/null || tools+=(perl)
		command -v patch >/dev/null || tools+=(patch)
		perl -MIPC::Run -e 1 2>/dev/null || tools+=(libipc-run-perl)
		missing+=(${tools[@]+"${tools[@]}"})
	fi

	if ! find_postgres; then
		if [ -n "$have_debian" ]; then
			major=$(debian_major)
			if [ -z "$major" ] && am_root; then
				update_lists
				major=$(debian_major)
			fi
		fi
		: "${major:=$MIN_MAJOR}"
		[ -x "/usr/lib/postgresql/$major/bin/postgres" ] || missing+=("postgresql-$major")
		missing+=("postgresql-server-dev-$major")
	fi
	[ ${#missing[@]} -gt 0 ] || return 0

	if ! am_root || [ -z "$have_debian" ]; then
		say "$PROGRAM: missing here: ${missing[*]} (Debian's package names)"
		[ -z "$have_debian" ] || say "as root: apt-get install --no-install-recommends ${missing[*]}"
		exit 1
	fi
	install_packages "${missing[@]}"
	[ -n "${BINDIR:-}" ] || find_postgres ||
		die "no usable PostgreSQL, although these were installed: ${missing[*]}"
}

update_lists()
{
	[ -z "${LISTS_UPDATED:-}" ] || return 0
	LISTS_UPDATED=1
	say "apt-get update"
	apt-get -qq update || die "apt-get update failed"
}

install_packages()
{
	local conf=/etc/postgresql-common/createcluster.conf log

	# Debian starts a server along with the package.  We want none; a machine
	# that has PostgreSQL already keeps its settings.
	if [ ! -e $conf ] && ! dpkg-query -W -f '${Status}' postgresql-common 2>/dev/null | grep -q ' installed'; then
		mkdir -p "$(dirname $conf)"
		echo 'create_main_cluster = false' > $conf
	fi
	log=$(mktemp)
	say "apt-get install $*"
	export DEBIAN_FRONTEND=noninteractive
	try_install "$@" >"$log" 2>&1 ||
		{ update_lists && try_install "$@" >"$log" 2>&1; } ||
		{ tail -20 "$log"; rm -f "$log"; die "apt-get install $* failed"; }
	rm -f "$log"
}

try_install()
{
	apt-get install -qq -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@" </dev/null
}

# ---------------------------------------------------------------------------
# A private place to work in
# ---------------------------------------------------------------------------

# Sets WORK and, as root, RUN_AS.
make_workdir()
{
	trap cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	if am_root; then
		[ -n "${RUN_AS:-}" ] || { id postgres >/dev/null 2>&1 && RUN_AS=postgres; } || RUN_AS=nobody
		[ "$(id -u "$RUN_AS" 2>/dev/null || echo 0)" != 0 ] || die "RUN_AS=$RUN_AS is not an unprivileged user"
	fi
	# not in TMPDIR: a socket's path must be short
	WORK=$(mktemp -d "/tmp/cache_ext_$PROGRAM.XXXXXX") || exit 1
	if am_root; then
		chown "$RUN_AS" "$WORK"
	fi
}

# Run a command as the user that owns $WORK, from there.  Sockets and temporary
# files go there, too, or a test that is killed would leave them behind.
as_user()
{
	if am_root; then
		(cd "$WORK" && exec runuser -u "$RUN_AS" -- env HOME="$WORK" TMPDIR="$WORK" "$@")
	else
		(cd "$WORK" && exec env TMPDIR="$WORK" "$@")
	fi
}

# Run a command or function in a process group of its own, so that a signal to
# this script is acted upon at once and takes the command with it.
run_job()
{
	local rc

	set -m
	"$@" </dev/null &
	JOB=$!
	set +m
	wait $JOB
	rc=$?
	JOB=
	return $rc
}

# Stop the servers whose data directory is below $WORK: those we started.
stop_servers()
{
	local f pid i

	while IFS= read -r f; do
		pid=$(head -1 "$f" 2>/dev/null)
		[ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$(dirname "$f")" ] || continue
		kill -INT "$pid" 2>/dev/null
		for i in $(seq 50); do
			kill -0 "$pid" 2>/dev/null || break
			[ "$i" != 40 ] || kill -QUIT "$pid" 2>/dev/null
			sleep 0.2
		done
	done < <(find "$WORK" -name postmaster.pid 2>/dev/null)
}

cleanup()
{
	local rc=$?

	trap - EXIT
	trap '' INT TERM HUP
	[ -z "$JOB" ] || kill -TERM -- "-$JOB" 2>/dev/null
	if [ -n "$WORK" ] && [ -z "$KEEP_WORK" ]; then
		stop_servers
		cd / && rm -rf "$WORK"
	fi
	exit $rc
}

copy_tree()
{
	mkdir "$WORK/src"
	tar -C "$ROOT" --exclude=./.git --exclude='*.o' --exclude='*.bc' --exclude='*.so' --exclude=node_modules \
		--exclude=./tmp_check --exclude=./tmp_regress --exclude=./tmp_isolation \
		--exclude=./results --exclude=./output_iso -cf - . |
		tar -C "$WORK/src" --no-same-owner -xf - || die "could not copy the sources"
	if am_root; then
		chown -R "$RUN_AS" "$WORK/src"
	fi
}

# What the examples require of npm: Debian's package, or from the registry.
node_modules()
{
	export NODE_PATH=/usr/share/nodejs
	(cd / && node -e 'require("pg")' 2>/dev/null) && return
	say "npm ci"
	as_user npm ci --prefix "$1" --no-audit --no-fund --loglevel=error >/dev/null
}

# build_install DIR: no bitcode, which only make install has a use for.
build_install()
{
	as_user make -s -C "$1" -j"$(nproc)" PG_CONFIG="$PG_CONFIG" with_llvm=no all &&
		as_user make -s -C "$1" PG_CONFIG="$PG_CONFIG" with_llvm=no install DESTDIR="$WORK/inst" >/dev/null
}

# PostgreSQL 18 can look for extensions elsewhere; before, Debian's can.
local_conf()
{
	printf "dynamic_library_path = '%s%s:\$libdir'\n" "$WORK/inst" "$("$PG_CONFIG" --pkglibdir)"
	if [ "$MAJOR" -ge 18 ]; then
		printf "extension_control_path = '%s%s:\$system'\n" "$WORK/inst" "$("$PG_CONFIG" --sharedir)"
	else
		printf "extension_destdir = '%s'\n" "$WORK/inst"
	fi
}
