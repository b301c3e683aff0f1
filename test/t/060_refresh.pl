# Staying hot: entries are computed anew before or after their end by a
# background worker, as their role and with their settings, while callers get
# what is there; but never what was invalidated.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
setup($node);
$node->safe_psql(
	'postgres', q{
	-- computing takes as long as somebody holds this lock
	CREATE FUNCTION slow(which integer) RETURNS integer STABLE LANGUAGE plpgsql AS
	$$BEGIN
		PERFORM pg_advisory_xact_lock_shared(1);
		RETURN (SELECT v FROM item WHERE id = which);
	END$$;
	CREATE TYPE mood AS ENUM ('sad', 'glad');
	CREATE DOMAIN name_of AS text CHECK (value <> '');
	CREATE TYPE pair AS (a integer, b text);
	CREATE TABLE untracked (v integer);
	INSERT INTO untracked VALUES (1);
	GRANT SELECT ON item, untracked TO PUBLIC;
	CREATE ROLE alice LOGIN;
	CREATE ROLE bob LOGIN;
	GRANT bob TO alice;
	INSERT INTO cache_policy (name, key_pattern, ttl, stale_while_revalidate)
		VALUES ('stale', 'stale:*', '1 s', '1 h'),
		('tight', 'tight:*', '1 s', '1 ms');
	INSERT INTO cache_policy (name, key_pattern, ttl, stale_if_error)
		VALUES ('error', 'error:*', '200 ms', '1 h'),
		('tight error', 'tighterror:*', '200 ms', '1 ms');
	INSERT INTO cache_policy (name, key_pattern, ttl, refresh_ahead, stale_while_revalidate)
		VALUES ('hot', 'hot:*', '1 s', 1, '1 h');
});

my $holder = session($node);
sub hold_lock    { $holder->query_safe('SELECT pg_advisory_lock(1)'); return; }
sub release_lock { $holder->query_safe('SELECT pg_advisory_unlock(1)'); return; }

sub call
{
	my ($key, $query, $args) = @_;

	$query //= 'SELECT slow(1) AS v';
	$args = defined $args ? ", $args" : '';
	return "SELECT cached_json('$key', '$query', NULL$args)->0->>'v', (cache_last_status()).status";
}

sub stat_of
{
	my ($name) = @_;

	return $node->safe_psql('postgres', "SELECT $name FROM cache_stats");
}

# until the entries of a key are beyond their end; remembers which they were
my %created;
sub wait_expired
{
	my ($key) = @_;

	$created{$key} = $node->safe_psql('postgres',
		"SELECT max(created) FROM cache_entries WHERE key = '$key'");
	$node->poll_query_until('postgres',
		"SELECT bool_and(expires < clock_timestamp()) FROM cache_entries WHERE key = '$key'")
	  or die "$key never expired";
	return;
}

# until the entry of a key has been computed anew
sub wait_renewed
{
	my ($key) = @_;

	$node->poll_query_until('postgres',
		"SELECT max(created) > '$created{$key}' FROM cache_entries WHERE key = '$key'")
	  or die "$key was never renewed";
	return;
}

sub wait_worker
{
	my ($role) = @_;

	$node->poll_query_until(
		'postgres', qq{
		SELECT count(*) = 1 FROM pg_stat_activity
		WHERE backend_type = 'cache_ext worker' AND usename = '$role' AND wait_event = 'advisory'})
	  or die "no worker computes as $role";
	return;
}

wait_launcher($node);

# the rule: all get the old result while a worker computes the new one
my $s = session($node);
is($s->query_safe(call('stale:1')), '1|miss', 'first call computes');
$node->safe_psql('postgres', 'SELECT cache_stats_reset()');
wait_expired('stale:1');
hold_lock();
is($s->query_safe(call('stale:1')), '1|stale', 'expired: answered all the same');
wait_worker('postgres');
is($node->safe_psql('postgres', call('stale:1')), '1|stale', 'others, too, while it is computed');
release_lock();
wait_renewed('stale:1');
# counted when it is stored already
ok($node->poll_query_until('postgres', 'SELECT misses, stale_hits, refreshes, hits FROM cache_stats', '0|2|1|2'),
	'nobody missed it; one refresh') or diag(stat_of('misses, stale_hits, refreshes, hits'));

# never what was invalidated
wait_expired('stale:1');
hold_lock();
is($s->query_safe(call('stale:1')), '1|stale', 'expired again');
wait_worker('postgres');
$node->safe_psql('postgres', q{UPDATE item SET v = 2 WHERE id = 1; SELECT cache_invalidate('stale:1')});
my $reader = session($node);
begin_query($reader, call('stale:1'));
$node->poll_query_until('postgres',
	"SELECT state = 'active' AND wait_event IS NOT NULL FROM pg_stat_activity WHERE pid = " . pid_of($reader))
  or die 'reader never waited';
release_lock();
like(end_query($reader), qr/^2\|(miss|hit)$/, 'invalidated: not answered from');
like($node->safe_psql('postgres', call('stale:1')), qr/^2\|(hit|stale)$/, 'and the worker stored nothing older');

# bounded
is($s->query_safe(call('tight:1')), '2|miss', 'a policy with hardly any grace');
wait_expired('tight:1');
$node->poll_query_until('postgres',
	q{SELECT expires + '2 ms' < clock_timestamp() FROM cache_entries WHERE key = 'tight:1'});
is($s->query_safe(call('tight:1')), '2|miss', 'beyond it, a miss');

# as the role, with its settings, arguments and all
my $tenant = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'alice' ]);
$tenant->query_safe(q{SET app.tenant = 'seven'; SET TimeZone = 'Asia/Tokyo'; SET application_name = 'tenants'});
my $mine = q{SELECT slow(1) + $1 || current_setting(''app.tenant'') || current_setting(''TimeZone'') || current_user AS v};
is($tenant->query_safe(call('stale:tenant', $mine, '40')), '42sevenAsia/Tokyoalice|miss', 'a tenant fills');
wait_expired('stale:tenant');
hold_lock();
is($tenant->query_safe(call('stale:tenant', $mine, '40')), '42sevenAsia/Tokyoalice|stale', 'expired');
wait_worker('alice');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'cache_ext worker' AND query ~ 'item'}),
	'0', 'the query is not shown');
release_lock();
wait_renewed('stale:tenant');
like($tenant->query_safe(call('stale:tenant', $mine, '40')), qr/^42sevenAsia\/Tokyoalice\|(hit|stale)$/, 'renewed for the tenant');
$tenant->query_safe(q{SET app.tenant = 'eight'});
is($tenant->query_safe(call('stale:tenant', $mine, '40')), '42eightAsia/Tokyoalice|miss', 'and for no other');

# untyped arguments, and rows
my $rows = q{SELECT v, (cache_last_status()).status FROM cached_rows(NULL::item, 'stale:rows', 'SELECT id, v + 0 * slow(1) AS v FROM item WHERE id = $1', NULL, VARIADIC ARRAY['2']) AS t};
is($s->query_safe($rows), '1|miss', 'rows, with an untyped argument');
wait_expired('stale:rows');
is($s->query_safe($rows), '1|stale', 'expired');
wait_renewed('stale:rows');
like($s->query_safe($rows), qr/^1\|(hit|stale)$/, 'renewed');

# arguments of all kinds of types, each as its recipe has it
my $typed = q{SELECT v, (cache_last_status()).status FROM cached_query('stale:types',
	'SELECT format(''%s %s %s %s %s %s %s %s %s %s'', $1, $2, $3, $4, $5, $6, $7, $8, $9, $10) FROM item WHERE id = 1',
	NULL, 'text'::text, 'glad'::mood, 'domain'::name_of, 12.50::numeric, int4range(1, 5), int4multirange(int4range(1, 2)),
	'{a,NULL,c}'::text[], 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, NULL::text, 'n'::name) AS t(v text)};
my $text = 'text glad domain 12.50 [1,5) {[1,2)} {a,NULL,c} a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11  n';
is($s->query_safe($typed), "$text|miss", 'arguments of many types');
wait_expired('stale:types');
is($s->query_safe($typed), "$text|stale", 'expired');
wait_renewed('stale:types');
like($s->query_safe($typed), qr/^\Q$text\E\|(hit|stale)$/, 'a worker read the same arguments');
my $pair = q{SELECT v, (cache_last_status()).status FROM cached_query('stale:pair',
	'SELECT ($1).b || v FROM item WHERE id = 2', NULL, ROW(1, 'x')::pair) AS t(v text)};
is($s->query_safe($pair), 'x1|miss', 'an argument of a row type');
wait_expired('stale:pair');
is($s->query_safe($pair), 'x1|miss', 'in the foreground: the type may have changed for a worker');

# what a worker cannot be, the caller computes; only one of them
$tenant->query_safe('SET ROLE bob');
is($tenant->query_safe(call('stale:bob')), '2|miss', 'after SET ROLE');
wait_expired('stale:bob');
is($tenant->query_safe(call('stale:bob')), '2|miss', 'after SET ROLE: in the foreground');

$node->append_conf('postgresql.conf', 'cache_ext.worker_limit = 0');
$node->reload;
$node->poll_query_until('postgres', q{SELECT current_setting('cache_ext.worker_limit') = '0'});
$s->query_safe('SELECT 1');
# who computes it has a second or more for himself; who comes later, because the
# machine is slow, sees to it, too
my ($other, $mine_first);
for my $try (1 .. 50)
{
	wait_expired('stale:1');
	hold_lock();
	begin_query($s, call('stale:1'));
	$node->poll_query_until('postgres',
		"SELECT wait_event = 'advisory' FROM pg_stat_activity WHERE pid = " . pid_of($s))
	  or die 'nobody computes';
	my $since = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
	begin_query($reader, call('stale:1'));
	$node->poll_query_until('postgres', qq{
		SELECT query_start > '$since' AND (state = 'idle' OR wait_event IN ('Extension', 'CacheExtFill', 'advisory'))
		FROM pg_stat_activity WHERE pid = } . pid_of($reader))
	  or die 'the other neither waits nor ends';
	my $waits = $node->safe_psql('postgres', "SELECT state <> 'idle' FROM pg_stat_activity WHERE pid = " . pid_of($reader)) eq 't';
	release_lock();
	$mine_first = end_query($s);
	$other = end_query($reader);
	last unless $waits;
	note "too late: $other";
}
is($other, '2|stale', 'without workers: others do not wait');
is($mine_first, '2|miss', 'for the one who computes');
$node->append_conf('postgresql.conf', 'cache_ext.worker_limit = 2');
$node->reload;

# an error of the query, and what there was before
my $fails = q{SELECT 10 / v AS v FROM untracked};
for my $key ('error:1', 'tighterror:1')
{
	is($s->query_safe(call($key, $fails)), '10|miss', "$key: it works");
}
$node->safe_psql('postgres', 'UPDATE untracked SET v = 0');
wait_expired('error:1');
wait_expired('tighterror:1');
is($s->query_safe(call('error:1', $fails)), '10|stale', 'the query fails: the old result');
is($s->query_safe('BEGIN; ' . call('error:1', $fails) . '; SELECT 1; COMMIT'), "10|stale\n1", 'in a transaction, which goes on');
is($s->query_safe(q{SELECT v, (cache_last_status()).status FROM cached_query('error:rows', 'SELECT 5 / (10 * v + 1) AS v FROM untracked', NULL) AS t(v integer)}),
	'5|miss', 'rows that work');
$node->poll_query_until('postgres',
	q{SELECT expires + '2 ms' < clock_timestamp() FROM cache_entries WHERE key = 'tighterror:1'});
begin_query($s, call('tighterror:1', $fails));
like(end_query($s), qr/division by zero/, 'beyond the grace: the error');
begin_query($s, call('error:2', $fails));
like(end_query($s), qr/division by zero/, 'nothing to fall back on: the error');
$s->query_safe(q{SELECT cache_invalidate('error:1')});
begin_query($s, call('error:1', $fails));
like(end_query($s), qr/division by zero/, 'invalidated: the error');
$node->safe_psql('postgres', 'UPDATE untracked SET v = 1');
is($s->query_safe(call('error:1', 'SELECT slow(1) AS v')), '2|miss', 'another one');
wait_expired('error:1');
hold_lock();
begin_query($s, call('error:1', 'SELECT slow(1) AS v'));
$node->poll_query_until('postgres',
	"SELECT wait_event = 'advisory' FROM pg_stat_activity WHERE pid = " . pid_of($s));
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . pid_of($s) . ')');
like(end_query($s), qr/canceling statement/, 'a cancel is not hidden');
release_lock();

# a hot key over ten times its life: nobody waits
is($node->safe_psql('postgres', call('hot:1', 'SELECT pg_sleep(0) IS NOT NULL AS v, v AS w FROM item WHERE id = 1')),
	'true|bypass', 'not this one, it is volatile');
$node->safe_psql('postgres', q{
	CREATE FUNCTION takes_time() RETURNS integer STABLE LANGUAGE plpgsql AS
	$$BEGIN PERFORM pg_sleep(0.1); RETURN (SELECT v FROM item WHERE id = 1); END$$});
my $script = $node->basedir . '/hot.sql';
append_to_file($script, "SELECT cached_json('hot:2', 'SELECT takes_time() AS v', NULL);\n");
is($node->safe_psql('postgres', call('hot:2', 'SELECT takes_time() AS v')), '2|miss', 'the first');
$node->safe_psql('postgres', 'SELECT cache_stats_reset()');
my ($failed, $refreshes) = (0, 0);
for (my $run = 0; $run < 100 && !$failed && $refreshes < 10; $run++)
{
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;

	$failed = !IPC::Run::run([ 'pgbench', '-n', '-c', '8', '-T', '3', '-f', $script, 'postgres' ], '>', \my $out, '2>', \my $err);
	diag($err) if $failed;
	$refreshes = stat_of('refreshes');
}
ok(!$failed, 'under load');
cmp_ok($refreshes, '>=', 10, 'refreshes');
# where a worker does not begin within a second, one caller computes, and the
# others take what is there
cmp_ok(stat_of('coalesced'), '<', $refreshes, 'whom no caller waits for');
is(stat_of('bypasses'), '0', 'or goes past the cache for');
note 'hits, stale hits, misses, coalesced: ' . stat_of('hits, stale_hits, misses, coalesced');

$_->quit for $s, $holder, $reader, $tenant;
$node->stop;
done_testing();
