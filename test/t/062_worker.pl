# The background processes: they come back, go when told, and are in nobody's
# way; and the hottest entries are computed anew after they were lost.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use PostgreSQL::Test::Cluster;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('main', allows_streaming => 1);
setup($node);
$node->safe_psql(
	'postgres', q{
	CREATE ROLE alice LOGIN;
	GRANT SELECT ON item TO alice;
	-- computing takes as long as somebody holds this lock
	CREATE FUNCTION slow() RETURNS integer STABLE LANGUAGE plpgsql AS
	$$BEGIN
		PERFORM pg_advisory_xact_lock_shared(1);
		RETURN (SELECT v FROM item WHERE id = 1);
	END$$;
	INSERT INTO cache_policy (name, key_pattern, ttl, rewarm) VALUES ('hot', 'hot:*', '1 h', true)});

my $launchers = q{SELECT count(*), count(datid), max(pid) FROM pg_stat_activity WHERE backend_type = 'cache_ext launcher'};
sub launcher
{
	my ($other) = @_;

	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'cache_ext launcher' AND pid <> $other")
	  or die 'no launcher';
	return $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'cache_ext launcher'});
}

sub wait_worker
{
	my ($n, $where) = @_;

	$where //= '';
	$node->poll_query_until('postgres',
		"SELECT count(*) = $n FROM pg_stat_activity WHERE backend_type = 'cache_ext worker' $where")
	  or die "never $n workers";
	return;
}

# the launcher
my $pid = launcher(0);
like($node->safe_psql('postgres', $launchers), qr/^1\|0\|/, 'one launcher, in no database');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
$pid = launcher($pid);
pass('it comes back when terminated');
is(read_now($node, 1), '1|miss', 'fill');
kill 'KILL', $pid;
$node->poll_query_until('postgres', 'SELECT true') or die 'server is gone';
$node->poll_query_until('postgres',
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'cache_ext launcher' AND pid <> $pid")
  or die 'no launcher after a crash';
pass('it comes back after a crash');

# a worker holds no database; its job does not stop CREATE and DROP DATABASE
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', q{
	CREATE EXTENSION cache_ext;
	INSERT INTO cache_warm_job (name, key, query, every) VALUES ('sleep', 'sleep', 'SELECT 1 FROM (SELECT pg_sleep(1000)) s', '1 h')});
wait_worker(1, q{AND datname = 'other' AND wait_event = 'PgSleep'});
my ($ret, $out, $err) = $node->psql('postgres', 'CREATE DATABASE copy TEMPLATE other');
is($err, '', 'CREATE DATABASE from one with a worker in it');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'cache_ext worker' AND datname IN ('other', 'copy')}),
	'0', 'which has left');
($ret, $out, $err) = $node->psql('postgres', 'ALTER DATABASE other RENAME TO another');
is($err, '', 'ALTER DATABASE RENAME');
($ret, $out, $err) = $node->psql('postgres', 'DROP DATABASE another; ');
is($err, '', 'DROP DATABASE');
# ... where the copy's job has started meanwhile
$node->append_conf('postgresql.conf', 'cache_ext.worker_naptime = 1');
$node->reload;
wait_worker(1, q{AND datname = 'copy' AND wait_event = 'PgSleep'});
($ret, $out, $err) = $node->psql('postgres', 'DROP DATABASE copy');
is($err, '', 'DROP DATABASE with a job running');
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM cache_warm_progress})
  or die 'jobs of a dropped database stay';

# no more workers than the setting says, and others get their turn
$node->append_conf('postgresql.conf', 'cache_ext.worker_limit = 1');
$node->reload;
my $holder = session($node);
$holder->query_safe('SELECT pg_advisory_lock(1)');
$node->safe_psql('postgres', q{
	BEGIN;
	INSERT INTO cache_warm_job (name, role, key, query) VALUES
		('one', 'postgres', 'job:{x}', 'SELECT slow()'), ('two', 'alice', 'job', 'SELECT slow()');
	UPDATE cache_warm_job SET key = 'job';
	COMMIT});
wait_worker(1, q{AND wait_event = 'advisory'});
$node->poll_query_until('postgres', q{SELECT string_agg(state, ',' ORDER BY state) = 'queued,running' FROM cache_warm_progress})
  or die 'not one after the other';
wait_worker(1);
pass('one at a time');
$holder->query_safe('SELECT pg_advisory_unlock(1)');
$node->poll_query_until('postgres', q{SELECT count(*) FILTER (WHERE state = 'done') = 2 FROM cache_warm_progress})
  or die 'not both done';
pass('and then the other');

# a worker that is killed with a job: it is tried again
$holder->query_safe('SELECT pg_advisory_lock(1)');
$node->safe_psql('postgres', q{SELECT cache_warm('one')});
wait_worker(1, q{AND wait_event = 'advisory'});
# again and again, until it is seen before it is tried once more, which is later each time
$node->poll_query_until('postgres', q{
	SELECT state = 'retrying' AND error ~ 'worker ended'
	FROM cache_warm_progress,
		(SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		 WHERE backend_type = 'cache_ext worker' AND wait_event = 'advisory') AS t
	WHERE job = 'one'})
  or die 'not retried';
$holder->query_safe('SELECT pg_advisory_unlock(1)');
$node->poll_query_until('postgres', q{SELECT state = 'done' FROM cache_warm_progress WHERE job = 'one'})
  or die 'not done';
pass('a job whose worker was terminated is run again');
$node->safe_psql('postgres', 'DELETE FROM cache_warm_job');

# the hottest, after cache_clear
sub hot { return map { $node->safe_psql('postgres', "SELECT cached_json('hot:$_', 'SELECT v FROM item WHERE id = \$1', NULL, $_), (cache_last_status()).status") } @_; }
hot(1 .. 5);
is_deeply([ hot(1 .. 5) ], [ ('[{"v": 1}]|hit') x 5 ], 'hot keys');
$node->safe_psql('postgres', q{SELECT cached_json('cold:1', 'SELECT 1', NULL)});
my $alive = q{SELECT count(*) FILTER (WHERE key LIKE 'hot:%'), count(*) FILTER (WHERE key LIKE 'cold:%') FROM cache_entries WHERE alive};
$node->safe_psql('postgres', 'BEGIN; SELECT cache_clear(); ROLLBACK');
is($node->safe_psql('postgres', $alive), '5|1', 'nothing cleared');
$node->safe_psql('postgres', 'SELECT cache_clear()');
$node->poll_query_until('postgres', $alive, '5|0') or die 'not warm again';
is_deeply([ hot(1 .. 5) ], [ ('[{"v": 1}]|hit') x 5 ], 'warm again after cache_clear');

# after a crash, and with rows that have changed meanwhile
my $since = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
$node->poll_query_until('postgres', "SELECT (pg_stat_file('cache_ext.hot', true)).modification > '$since'")
  or die 'not noted';
$node->stop('immediate');
$node->append_conf('postgresql.conf', 'cache_ext.worker_limit = 0');
$node->start;
$node->safe_psql('postgres', 'UPDATE item SET v = 7');
is($node->safe_psql('postgres', $alive), '0|0', 'lost in a crash');
$node->stop('immediate');
$node->append_conf('postgresql.conf', 'cache_ext.worker_limit = 2');
$node->start;
$node->poll_query_until('postgres', $alive, '5|0') or die 'not warm again';
is_deeply([ hot(1 .. 5) ], [ ('[{"v": 7}]|hit') x 5 ], 'warm again after a crash');

# ... but not if no policy wants that any more; then the file goes, too
$node->safe_psql('postgres', 'UPDATE cache_policy SET rewarm = false');
$node->stop('immediate');
$node->start;
for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	last if !-e $node->data_dir . '/cache_ext.hot';
	usleep(100_000);
}
ok(!-e $node->data_dir . '/cache_ext.hot', 'no longer wanted: the file goes');
is($node->safe_psql('postgres', $alive), '0|0', '... and nothing is warmed');
$node->safe_psql('postgres', 'UPDATE cache_policy SET rewarm = true');
hot(1 .. 5);
$node->poll_query_until('postgres', q{SELECT (pg_stat_file('cache_ext.hot', true)).size > 0}) or die 'not noted';

# no room for the file
my $temporary = $node->data_dir . '/cache_ext.hot.tmp';
# it may be there for a moment
until (symlink('/dev/full', $temporary))
{
	die $! if !$!{EEXIST};
	usleep(1000);
}
$node->wait_for_log(qr/could not write file "cache_ext.hot.tmp"/);
unlink $temporary;
ok(-s $node->data_dir . '/cache_ext.hot', 'what was noted before is kept where there is no room');

# a file that may not be read, and a damaged one, are ignored
$node->stop;
chmod 0, $node->data_dir . '/cache_ext.hot';
$node->start;
$node->wait_for_log(qr/could not read file "cache_ext.hot"/);
chmod 0600, $node->data_dir . '/cache_ext.hot';
$node->stop;
open(my $fh, '+<', $node->data_dir . '/cache_ext.hot') or die $!;
seek($fh, 200, 0);
print $fh 'xxxx';
close $fh;
unlink $node->data_dir . '/cache_ext.state';
$node->start;
$node->wait_for_log(qr/ignoring file "cache_ext.hot"/);
is(read_now($node, 1), '7|miss', 'the server starts all the same');

# a standby has none, until it is promoted
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->safe_psql('postgres', q{INSERT INTO cache_warm_job (name, key, query) VALUES ('after', 'after', 'SELECT 1')});
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $launchers), '0|0|', 'no launcher on a standby');
$standby->promote;
$standby->poll_query_until('postgres', q{SELECT state = 'done' FROM cache_warm_progress WHERE job = 'after'})
  or die 'job never ran';
pass('after promotion, jobs run');
$standby->stop;

# the server stops while a job runs
$holder->quit;
$holder = session($node);
$holder->query_safe('SELECT pg_advisory_lock(1)');
$node->safe_psql('postgres', q{INSERT INTO cache_warm_job (name, key, query) VALUES ('last', 'last', 'SELECT slow()')});
wait_worker(1, q{AND wait_event = 'advisory'});
$node->stop;
pass('clean stop');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/PANIC|TRAP/, 'and nothing odd in the log');

done_testing();
