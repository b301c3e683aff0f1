# test/chroot.sh - Debian suites in chroots, for matrix, lint, sanitize and others
#
# Sourced after test/lib.sh, by scripts that run as root.  A caller uses
#
#	need_chroots			check what the host must have; fetch mmdebstrap
#	chroot_suite SUITE		choose where packages come from
#	chroot_make NAME PACKAGES [SCRIPT]
#							sets CHROOT to a tree that has the packages, and in
#							which SCRIPT was run, with the network, as its last step
#	chroot_run OUT COMMAND...
#							run a command in $CHROOT
#
# A chroot is made on first use, in about half a minute, and kept under $CACHE;
# its name ends in a digest of all that went into it.  To renew one, or to free
# the space, remove its directory.
#
# What chroot_run starts sees the chroot through an overlay in memory, in
# namespaces of its own: nothing it does reaches the kept tree, no port, process
# or file of one run is seen by another, and all of it ends with the caller,
# however that ends.  It finds a copy of our sources in /src, owned by the
# chroot's user postgres, and what it puts into /out is found in OUT.
#
# CACHE_DIR			where chroots are kept; default ${XDG_CACHE_HOME:-/var/cache}/cache_ext-matrix
# DEBIAN_MIRROR		where packages come from; default http://deb.debian.org/debian
# NET=1				leave chroot_run the network

CACHE=${CACHE_DIR:-${XDG_CACHE_HOME:-/var/cache}/cache_ext-matrix}
MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
CHROOT=

# What a build needs beside PostgreSQL itself, and every kind of test: all that
# need_packages in lib.sh would fetch, and valkey-server.
BUILD_PACKAGES='gcc libc6-dev make pkgconf libhiredis-dev libssl-dev liblz4-dev libzstd-dev'
TEST_PACKAGES="$BUILD_PACKAGES perl libipc-run-perl patch openssl redis-server valkey-server
	python3-redis pgbouncer nodejs node-pg node-redis"

need_chroots()
{
	local missing=()

	am_root || die "this makes chroots, which takes root"
	command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
	[ -f /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
	command -v ip >/dev/null || missing+=(iproute2)
	command -v flock >/dev/null && command -v unshare >/dev/null || missing+=(util-linux)
	[ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
	unshare --mount --pid --fork --net --ipc true || die "namespaces are not allowed here"
	mkdir -p "$CACHE/.run" || exit 1	# where each run, for itself, mounts what it sees
}

# Sets SUITE, and SOURCES and PIN for chroot_make.  Several suites may be named,
# the base system's first, to have several majors side by side.  The others come
# as released: a security update of an old major may write into its catalogs
# what the newest major in the archive cannot read yet.
chroot_suite()
{
	local s

	SUITE=$1 SOURCES=() PIN=
	for s; do
		case $s in
		bookworm | trixie) [ "$s" = "$SUITE" ] || { archive "$s"; continue; } ;;
		esac
		case $s in
		bookworm) archive bookworm{,-updates,-backports} security bookworm ;;
		trixie) archive trixie{,-updates} security trixie ;;
		sid) archive sid ;;
		experimental)
			# holds little: sid is the base, and servers are what we are here for
			archive sid experimental
			[ "$s" != "$SUITE" ] || SUITE=sid
			PIN='Package: postgresql* libpq* redis*
Pin: release a=experimental
Pin-Priority: 990'
			;;
		*) die "no recipe for Debian's $s" ;;
		esac
	done
}

archive()
{
	while [ $# -gt 0 ]; do
		if [ "$1" = security ]; then
			SOURCES+=("deb ${MIRROR%/debian}/debian-security $2-security main")
			shift
		else
			SOURCES+=("deb $MIRROR $1 main")
		fi
		shift
	done
}

# The dev package of a server depends on the clang and LLVM that it was built
# with, 800 MB, which we need for nothing: an empty package takes their place.
stand_in_for_llvm()
{
	local v provides=

	for v in $(seq 11 30); do
		provides+="${provides:+, }clang-$v, llvm-$v-dev"
	done
	mkdir -p "$1/stand-in/DEBIAN" &&
		cat >"$1/stand-in/DEBIAN/control" <<-END &&
			Package: no-llvm
			Version: 1
			Architecture: all
			Maintainer: nobody <nobody@localhost>
			Provides: $provides
			Description: takes the place of clang and LLVM
		END
		dpkg-deb --build -Zgzip --root-owner-group "$1/stand-in" "$1/no-llvm.deb" >/dev/null
}

chroot_make()
{
	local name=$1 packages=$2 script=${3:-} key

	packages=$(tr -s ' \t' '\n' <<<"$packages" | sort -u | grep . | paste -sd,)
	key=$(printf '%s\n' 2 "$SUITE" "${SOURCES[@]}" "$PIN" "$packages" "$script" | sha256sum)
	CHROOT=$CACHE/$name-${key:0:8}
	# whoever comes second waits, and finds it made
	(
		flock 9 || exit 1
		[ -d "$CHROOT" ] || bootstrap "$CHROOT.new" "$packages" "$script"
	) 9>"$CACHE/.lock-$name" || die "could not make the chroot $name, see $CACHE/$name.log"
}

# bootstrap DIR PACKAGES SCRIPT: DIR is removed if it is there, and becomes
# $CHROOT when it is complete.
bootstrap()
{
	local dir=$1 t0=$SECONDS rc=0 hooks=()

	say "making the chroot $(basename "$CHROOT")"
	rm -rf --one-file-system "$dir" && mkdir -p "$dir/tmp" && stand_in_for_llvm "$dir/tmp" || return 1
	if [ -n "$PIN" ]; then
		printf '%s\n' "$PIN" >"$dir/tmp/pin"
		hooks+=(--setup-hook="mkdir -p \"\$1/etc/apt/preferences.d\" && cp '$dir/tmp/pin' \"\$1/etc/apt/preferences.d/suite\"")
	fi
	if [ -n "$3" ]; then
		printf '%s\n' "$3" >"$dir/tmp/script"
		hooks+=(--customize-hook="copy-in '$dir/tmp/script' /root"
			--customize-hook='chroot "$1" bash -e /root/script')
	fi
	# Frozen mirrors have Release files that are past their date.
	mmdebstrap --mode=root --variant=essential --format=directory --include="$2" \
		--aptopt='APT::Install-Recommends "false"' \
		--aptopt='Acquire::Languages "none"' \
		--aptopt='Acquire::Check-Valid-Until "false"' \
		--aptopt='Acquire::Check-Date "false"' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--essential-hook='mkdir -p "$1/etc/postgresql-common"; echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"' \
		--essential-hook="copy-in '$dir/tmp/no-llvm.deb' /tmp" \
		--essential-hook='chroot "$1" dpkg -i /tmp/no-llvm.deb >/dev/null; rm "$1/tmp/no-llvm.deb"' \
		${hooks[@]+"${hooks[@]}"} "$SUITE" "$dir/root" "${SOURCES[@]}" \
		>"$CACHE/$(basename "${CHROOT%-*}").log" 2>&1 </dev/null &&
		mv -T "$dir/root" "$CHROOT" || rc=1
	rm -rf --one-file-system "$dir"
	[ $rc != 0 ] || say "made $(basename "$CHROOT") in $((SECONDS - t0)) s, $(du -sxm "$CHROOT" | cut -f1) MB"
	return $rc
}

# Runs as pid 1 of the new namespaces, in a shell of its own.
chroot_enter()
{
	local base=$1 root=$2 out=$3 m d
	shift 3

	set -e
	# all that is written goes to memory, and with the namespace
	m=${base%/*}/.run
	mount -t tmpfs -o mode=755,size=75% run "$m"
	mkdir "$m/up" "$m/work" "$m/root"
	mount -t overlay run -o "lowerdir=$base,upperdir=$m/up,workdir=$m/work" "$m/root" 2>/dev/null ||
		cp -a "$base/." "$m/root"
	m=$m/root
	mount -t proc proc "$m/proc"
	mount -t tmpfs -o mode=755 dev "$m/dev"
	for d in null zero full random urandom tty; do
		touch "$m/dev/$d"
		mount --bind "/dev/$d" "$m/dev/$d"
	done
	mkdir "$m/dev/shm" "$m/dev/pts"
	mount -t tmpfs -o mode=1777 shm "$m/dev/shm"
	mount -t devpts -o newinstance,ptmxmode=666 pts "$m/dev/pts"
	ln -s pts/ptmx "$m/dev/ptmx"
	ln -s /proc/self/fd "$m/dev/fd"
	if [ -n "$NET" ]; then
		cp -L /etc/resolv.conf "$m/etc/resolv.conf"
	else
		ip link set lo up
	fi
	echo '127.0.0.1 localhost' >"$m/etc/hosts"
	mkdir "$m/out" "$m/src"
	mount --bind "$out" "$m/out"
	tar -C "$root" --exclude=./.git --exclude='*.o' --exclude='*.bc' --exclude='*.so' \
		--exclude=./tmp_check --exclude=./tmp_regress --exclude=./tmp_isolation \
		--exclude=./results --exclude=./output_iso --exclude=./dist -cf - . |
		tar -C "$m/src" --no-same-owner -xf -
	# not in every chroot is there a PostgreSQL
	if chroot "$m" id postgres >/dev/null 2>&1; then
		chroot "$m" chown -R postgres /src
	fi
	exec chroot "$m" env -i HOME=/root USER=root LOGNAME=root LANG=C.UTF-8 \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		CEXT_CHROOT=1 bash -c 'cd /src && exec "$@"' run "$@"
}

# chroot_run OUT COMMAND...: call it as the last thing of a subshell, or by
# run_job, because it does not come back.
chroot_run()
{
	local out=$1 net=--net
	shift

	[ -z "${NET:-}" ] || net=
	mkdir -p "$out" || exit 1
	out=$(cd "$out" && pwd) || exit 1
	NET=${NET:-} exec setpriv --pdeathsig KILL \
		unshare --mount --propagation private --ipc $net --pid --fork --kill-child \
		bash -c "$(declare -f chroot_enter); chroot_enter \"\$@\"" chroot_enter "$CHROOT" "$ROOT" "$out" "$@" </dev/null
}

# PostgreSQL 17 with assertions, and with what valgrind asks of it, from the
# source package and so with Debian's patches: in /opt/pg, its sources, built, in
# /opt/pgsrc.
chroot_assert()
{
	chroot_suite trixie
	chroot_make assert-17 "$TEST_PACKAGES bison flex libreadline-dev zlib1g-dev libicu-dev libxml2-dev
		apt debian-archive-keyring dpkg-dev valgrind lcov sqlsmith procps" "
		id postgres >/dev/null 2>&1 || useradd --system --user-group --create-home --home-dir /var/lib/postgresql postgres
		echo 'deb-src $MIRROR trixie main' >/etc/apt/sources.list.d/source.list
		apt-get -qq update
		cd /opt
		apt-get -qq source postgresql-17
		mv postgresql-17-*/ pgsrc
		rm -f postgresql-17_*
		cd pgsrc
		./configure --quiet --prefix=/opt/pg --enable-cassert --enable-debug --enable-tap-tests \\
			--with-openssl --with-lz4 --with-libxml CFLAGS='-O1 -g' CPPFLAGS=-DUSE_VALGRIND
		make -s -j$(nproc) all
		make -s -C contrib -j$(nproc) all
		make -s -C src/test/regress -j$(nproc) all
		make -s install
		make -s -C contrib install
		make -s -C src/test/isolation install
		make -s -C src/test/regress install
		chown -R postgres /opt/pgsrc"
}

# PostgreSQL 17 from its package, and the tools that look at our code.
chroot_tools()
{
	chroot_suite trixie
	chroot_make tools-17 "$TEST_PACKAGES postgresql-17 postgresql-server-dev-17 clang-tidy cppcheck lcov"
}
