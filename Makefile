# Makefile of cache_ext
#
#   make            build                make check   every test, on servers of its own
#   make install    install              make demo    a guided tour on a throw-away server
#   make clean      remove what was built  make bench   the benchmark
#   make deb        Debian packages        make mutants break it, and see the tests notice
#   make dist       a zip for PGXN
#
# For those who change it; these work in chroots of Debian and take root:
#
#   make check-matrix   every test on every major    make lint        analysers
#   make check-deb      packages on a bare system    make sanitize    sanitizers, valgrind
#   make neighbours     beside other extensions      make coverage    what tests do not reach
#
# A build needs PostgreSQL 15 or later with its server headers, and hiredis.  PG_CONFIG
# names another installation than the one in the PATH.  check, demo and bench
# install nothing into it; as root, on Debian, they fetch missing packages.

PG_CONFIG ?= pg_config

own_goals = check demo bench mutants redis-faults check-matrix deb check-deb dist lint \
	sanitize coverage neighbours

ifneq (,$(filter $(own_goals),$(MAKECMDGOALS)))

# PGXS has a "check" of its own, which only says that it is not supported, so
# it is left out for these goals.  The scripts call this makefile for the rest.

.NOTPARALLEL:
.PHONY: $(own_goals)

check:
	@test/check

demo:
	@test/demo/run

redis-faults:
	@test/redis/faults

mutants:
	@test/mutants/run

bench:
	@test -x test/bench/run || { echo 'bench: there is no test/bench/run in this tree' >&2; exit 1; }
	@test/bench/run

check-matrix:
	@test/matrix

deb:
	@test/deb

check-deb:
	@test/deb check

dist:
	@test/dist

lint:
	@test/lint

sanitize:
	@test/sanitize

coverage:
	@test/coverage

neighbours:
	@test/neighbours

other_goals = $(filter-out $(own_goals),$(MAKECMDGOALS))
ifneq (,$(other_goals))
.PHONY: $(other_goals)
$(other_goals):
	@$(MAKE) $@
endif

else

MODULE_big = cache_ext
PGFILEDESC = "cache_ext - transactionally consistent query result cache"
EXTENSION = cache_ext
DATA = $(wildcard sql/cache_ext--*.sql)

OBJS = \
	src/cache_ext.o \
	src/cext_guc.o \
	src/cext_log.o \
	src/cext_digest.o \
	src/cext_stats.o \
	src/cext_history.o \
	src/cext_pattern.o \
	src/cext_result.o \
	src/cext_chunk.o \
	src/cext_entry.o \
	src/cext_evict.o \
	src/cext_pin.o \
	src/cext_store.o \
	src/cext_state.o \
	src/cext_ring.o \
	src/cext_relay.o \
	src/cext_event.o \
	src/cext_version.o \
	src/cext_glob.o \
	src/cext_prepared.o \
	src/cext_epoch.o \
	src/cext_redis_conf.o \
	src/cext_breaker.o \
	src/cext_redis_tls.o \
	src/cext_redis_conn.o \
	src/cext_redis_login.o \
	src/cext_redis_nodes.o \
	src/cext_redis.o \
	src/cext_wire.o \
	src/cext_tier.o \
	src/cext_writeback.o \
	src/cext_relation.o \
	src/cext_row.o \
	src/cext_temptype.o \
	src/cext_tagset.o \
	src/cext_inval.o \
	src/cext_pending.o \
	src/cext_args.o \
	src/cext_settings.o \
	src/cext_identity.o \
	src/cext_policy.o \
	src/cext_function.o \
	src/cext_analyze.o \
	src/cext_tracker.o \
	src/cext_flight.o \
	src/cext_redis_claim.o \
	src/cext_refill.o \
	src/cext_queue.o \
	src/cext_recipe.o \
	src/cext_refresh.o \
	src/cext_subxact.o \
	src/cext_find.o \
	src/cext_fill.o \
	src/cext_verify.o \
	src/cext_query.o \
	src/cext_read.o \
	src/cext_send.o \
	src/cext_socket.o \
	src/cext_scan.o \
	src/cext_path.o \
	src/cext_plan.o \
	src/cext_value.o \
	src/cext_invalfuncs.o \
	src/cext_trigger.o \
	src/cext_attach.o \
	src/cext_views.o \
	src/cext_redis_views.o \
	src/cext_advice.o \
	src/cext_report.o \
	src/cext_explain.o \
	src/cext_relay_json.o \
	src/cext_relay_send.o \
	src/cext_relay_worker.o \
	src/cext_jobtable.o \
	src/cext_job.o \
	src/cext_warm.o \
	src/cext_hot.o \
	src/cext_dump.o \
	src/cext_worker.o \
	src/cext_ddl.o

# Not -Werror: a newer compiler must not break a user's build.  CI adds it
# with PROFILE=-Werror.  What is switched off is how PostgreSQL is written.
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers

# hiredis speaks Redis's protocol.  TLS is OpenSSL's, of which the server's
# headers say whether it has it; LZ4 and ZSTD are used where they are found.
pkg = $(shell pkg-config --silence-errors $(1))
SHLIB_LINK = $(or $(call pkg,--libs hiredis),-lhiredis)
ifneq (,$(call pkg,--modversion openssl))
PG_CFLAGS += -DCEXT_TLS
SHLIB_LINK += -lssl -lcrypto
endif
ifneq (,$(call pkg,--modversion liblz4))
PG_CFLAGS += -DCEXT_LZ4
SHLIB_LINK += -llz4
endif
ifneq (,$(call pkg,--modversion libzstd))
PG_CFLAGS += -DCEXT_ZSTD
SHLIB_LINK += -lzstd
endif

# What a library leaves for the next start is for none but its own build.
PG_CPPFLAGS = -DCEXT_BUILD=$(firstword $(shell cat $(sort $(wildcard src/*.[ch])) | cksum))

# A test is run because its file exists.  installcheck starts servers of its
# own, with this file added to postgresql.conf.  It needs the extension
# installed, and the isolation and TAP tests test/modules/cext_test as well;
# "make check" arranges both without installing anything.
REGRESS = $(patsubst sql/%.sql,%,$(filter-out $(DATA),$(sort $(wildcard sql/*.sql))))
REGRESS_OPTS = --temp-instance=tmp_regress --temp-config=test/regress.conf
ISOLATION = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --temp-instance=tmp_isolation --temp-config=test/regress.conf \
	--inputdir=test
TAP_TESTS ?= 1
PROVE_TESTS = test/t/*.pl

EXTRA_CLEAN = tmp_regress tmp_isolation

PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq (,$(wildcard $(PGXS)))
$(error $(PG_CONFIG) leads to no server headers: install postgresql-server-dev-NN, or say make PG_CONFIG=/path/to/pg_config)
endif

# Bitcode for JIT inlining needs the very clang and llvm-lto that the server
# was built with.  Without them, do without.
ifndef with_llvm
llvm_tools := $(shell sed -n -e 's/^CLANG *= *//p' -e 's|^LLVM_BINPATH *= *\(..*\)|\1/llvm-lto|p' \
	$(dir $(PGXS))../Makefile.global)
ifneq (,$(shell for t in $(llvm_tools); do command -v $$t >/dev/null || echo $$t; done))
override with_llvm = no
endif
endif

include $(PGXS)

$(OBJS) $(OBJS:.o=.bc): $(wildcard src/*.h)
src/cext_state.o src/cext_state.bc: $(wildcard src/*.c)

endif
