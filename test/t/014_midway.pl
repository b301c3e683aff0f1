# An error at an awkward moment: in the middle of a lookup, waiting for a lock on
# a catalog.  Whatever was begun there must not be taken for finished, nor stay
# for ever.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

# nobody gives up waiting for another's fill
my $node = new_node('main', conf => "cache_ext.coalesce_timeout = '1h'\n");
setup($node);
$node->safe_psql('postgres', q{CREATE TABLE day (d date); INSERT INTO day VALUES ('2020-02-01')});

my $holder = session($node);
my $locker = session($node);
my $asker = session($node);

# Wait until a backend waits for this, as seen by the one that holds the lock:
# others cannot even connect.
sub wait_event
{
	my ($s, $event) = @_;

	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if $locker->query_safe(
			"SELECT wait_event IN ($event) FROM pg_stat_activity WHERE pid = " . pid_of($s)) eq 't';
		usleep(100_000);
	}
	die "backend never waited for $event";
}

sub cancel_in_lookup
{
	wait_event($asker, q{'relation'});
	$locker->query_safe('SELECT pg_cancel_backend(' . pid_of($asker) . ')');
	like(end_query($asker), qr/canceling statement due to user request/, 'canceled');
	$locker->query_safe('ROLLBACK');
	return;
}

# The settings an answer depends on are compared one by one, and the search path
# last, which reads catalogs.
my $day = q{SELECT cached_json('day', 'SELECT d::text AS d FROM day', 600)->0->>'d', (cache_last_status()).status};
$asker->query_safe(q{SET DateStyle = 'ISO, DMY'});
is($asker->query_safe($day), '2020-02-01|miss', 'filled');
is($asker->query_safe($day), '2020-02-01|hit', 'cached');
$asker->query_safe(q{SET DateStyle = 'German, DMY'});
# warm the caches: only the unknown schema is to be looked up
my $with_path = q{SELECT set_config('search_path', '%s, public', true), cache_get('none')};
$asker->query_safe(sprintf($with_path, 'elsewhere'));
$asker->query_safe(q{SET DateStyle = 'ISO, DMY'; SELECT cache_get('none')});
$asker->query_safe(q{SET DateStyle = 'German, DMY'});
$locker->query_safe('BEGIN; LOCK TABLE pg_namespace IN ACCESS EXCLUSIVE MODE');
begin_query($asker, sprintf($with_path, 'unknown'));
cancel_in_lookup();
is($asker->query_safe($day), '01.02.2020|miss', 'an error while settings are compared: they are compared again');
is($asker->query_safe($day), '01.02.2020|hit', 'and cached');
$asker->query_safe(q{SET DateStyle = 'ISO, DMY'});
is($asker->query_safe($day), '2020-02-01|hit', 'neither in place of the other');

# Who takes the fill over from another looks up once more, and finds what a third
# has stored meanwhile; having temporary tables, it looks into the catalogs.
$asker->query_safe('RESET DateStyle; CREATE TEMPORARY TABLE mine (a integer)');
my @s = map { session($node) } 1 .. 3;
my $ask = cached(1, 'claim:1');
$s[0]->query_safe(q{SET cext_test.pause = 'start'});
hold($holder, 'start');
begin_query($s[0], $ask);
wait_paused($node, $s[0], 'start');
begin_query($asker, $ask);
wait_event($asker, q{'Extension', 'CacheExtFill'});
# it must not take over before the answer is there
kill 'STOP', pid_of($asker);
$node->safe_psql('postgres', q{SELECT cache_invalidate('claim:*')});
$s[1]->query_safe('SET cache_ext.coalesce_timeout = 0');
is($s[1]->query_safe($ask), '1|miss', 'one that does not wait has filled');
$locker->query_safe('BEGIN; LOCK TABLE pg_class IN ACCESS EXCLUSIVE MODE');
kill 'CONT', pid_of($asker);
cancel_in_lookup();
release($holder, 'start');
is(end_query($s[0]), '1|miss', 'the first filler ends');

# If the claim were still there, both would wait.
$node->safe_psql('postgres', q{SELECT cache_invalidate('claim:*')});
hold($holder, 'start');
begin_query($s[0], $ask);
wait_paused($node, $s[0], 'start');
begin_query($s[2], $ask);
wait_event($s[2], q{'Extension', 'CacheExtFill'});
release($holder, 'start');
is(end_query($s[0]), '1|miss', 'an error after claiming: the next one fills');
is(end_query($s[2]), '1|hit', 'and the next waits for it');

# The same where it has been claimed, and what stands in for an error is looked for:
# an expired entry, of a table whose name is not in the asker's caches.
$node->safe_psql('postgres', q{
	INSERT INTO cache_policy (name, key_pattern, ttl, stale_if_error) VALUES ('fallback', 'fallback:*', '1 second', '1 hour');
	CREATE TABLE unnamed (v integer);
	INSERT INTO unnamed VALUES (1);
	CREATE FUNCTION reads_unnamed() RETURNS integer STABLE LANGUAGE sql AS 'SELECT max(v) FROM unnamed'});
my $fallback = q{SELECT cached_json('fallback:1', 'SELECT reads_unnamed() AS v', NULL)->0->>'v', (cache_last_status()).status};
$asker->query_safe(q{SELECT cached_json('fallback:2', 'SELECT 1 AS v', NULL)});
is($s[1]->query_safe($fallback), '1|miss', 'filled');
$node->poll_query_until('postgres', q{SELECT expires < now() FROM cache_entries WHERE key = 'fallback:1'});
$locker->query_safe('BEGIN; LOCK TABLE pg_class IN ACCESS EXCLUSIVE MODE');
begin_query($asker, $fallback);
cancel_in_lookup();
# what is filled now lasts until somebody else has found it
$node->safe_psql('postgres', q{UPDATE cache_policy SET ttl = '1 hour'});
hold($holder, 'start');
begin_query($s[0], $fallback);
wait_paused($node, $s[0], 'start');
begin_query($s[2], $fallback);
wait_event($s[2], q{'Extension', 'CacheExtFill'});
release($holder, 'start');
is(end_query($s[0]), '1|miss', 'an error before computing: the next one fills');
is(end_query($s[2]), '1|hit', 'and the next waits for it');

# What was pinned is given back with the subtransaction, not only at the end:
# nobody else could use that memory until then.
$node->safe_psql('postgres', q{
	CREATE TABLE hidden (a integer);
	CREATE FUNCTION reads_hidden() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM hidden'});
my $large = q{'large', 'SELECT reads_hidden() AS n, repeat(''x'', 3000000) AS x', 600};
my $fill = "SELECT length(cached_json($large)::text) > 3000000, (cache_last_status()).status";
my $explain = "SELECT outcome, entry_state FROM cache_explain($large)";
is($asker->query_safe("BEGIN; $explain"), 'miss|absent', 'explained before it is there');
is($node->safe_psql('postgres', $fill), 't|miss', 'filled');
my $used = memory_used($node);
$asker->query_safe('SAVEPOINT a');
$locker->query_safe('BEGIN; LOCK TABLE pg_class IN ACCESS EXCLUSIVE MODE');
begin_query($asker, $explain);
cancel_in_lookup();
$asker->query_safe('ROLLBACK TO a');
$node->safe_psql('postgres', q{SELECT cache_invalidate('large')});
is($node->safe_psql('postgres', $fill), 't|miss', 'filled anew');
cmp_ok(memory_used($node), '<', $used + 1000000, 'an error while it was pinned: the old one is gone');
is($asker->query_safe($explain), 'hit|alive', 'and the transaction goes on');
$asker->query_safe('COMMIT');

$_->quit for @s, $asker, $locker, $holder;
$node->stop;
done_testing();
