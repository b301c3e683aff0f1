# kill -9 at the worst moments: the server recovers, and neither a stale entry
# nor anything else of before is left (G7).

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use Test::More;

my $node = new_node('main', conf => qq{
cache_ext.memory = '256MB'
cache_ext.max_entry_size = '128MB'
});
setup($node);

# The rows as they are, whatever the cache says.
sub check_recovered
{
	my ($what, $expected) = @_;

	$node->poll_query_until('postgres', 'SELECT true') or die "no recovery";
	is($node->safe_psql('postgres', 'SELECT entries, memory_used FROM cache_stats'),
		'0|0', "$what: the cache is empty");
	is($node->safe_psql('postgres', 'SELECT v FROM item WHERE id = 1'),
		$expected, "$what: the row is as it should be");
	is(read_now($node, 1), "$expected|miss", "$what: and read as it is");
	is(read_now($node, 1), "$expected|hit", "$what: and cached again");
	return;
}

# Kill a session's backend and wait for the crash to be noticed.
sub kill9
{
	my ($s) = @_;
	my $offset = -s $node->logfile;

	kill 'KILL', pid_of($s);
	$node->wait_for_log(qr/all server processes terminated; reinitializing/, $offset);
	return;
}

sub run_paused
{
	my ($point, $sql) = @_;
	my $holder = session($node);
	my $s = session($node);

	$s->query_safe("SET cext_test.pause = '$point'");
	hold($holder, $point);
	begin_query($s, $sql);
	wait_paused($node, $s, $point);
	return ($s, $holder);
}

sub finish
{
	$_->{run}->kill_kill for @_;
	return;
}

is(read_now($node, 1), '1|miss', 'filled');

# filling: with claim, trackers, buffers
my ($s, $holder) = run_paused('end', cached(2));
kill9($s);
check_recovered('while filling', 1);
is(read_now($node, 2), '1|miss', 'while filling: nobody is thought to fill it');
finish($s, $holder);

# before its rows are visible
($s, $holder) = run_paused('pre_commit', 'UPDATE item SET v = v + 1 WHERE id = 1');
kill9($s);
check_recovered('between PRE_COMMIT and COMMIT', 1);
finish($s, $holder);

# after
($s, $holder) = run_paused('commit', 'UPDATE item SET v = v + 1 WHERE id = 1');
is($node->safe_psql('postgres', 'SELECT v FROM item WHERE id = 1'), '2', 'visible');
kill9($s);
check_recovered('between COMMIT and its callbacks', 2);
finish($s, $holder);

# a callback that fails when the rows are visible makes the server panic
$s = session($node);
my $offset = -s $node->logfile;
begin_query($s,
	q{BEGIN; SET LOCAL cext_test.error = 'commit'; UPDATE item SET v = v + 1 WHERE id = 1; COMMIT});
$node->wait_for_log(qr/PANIC:  cannot abort transaction .*all server processes terminated; reinitializing/s, $offset);
check_recovered('failing COMMIT callback', 3);
finish($s);

# the same without an xid is an ordinary error, after PRE_COMMIT
$s = session($node);
begin_query($s,
	q{BEGIN; SET LOCAL cext_test.error = 'commit'; SELECT cache_invalidate('item:1'); COMMIT});
like(end_query($s), qr/cext_test.error/, 'failing COMMIT callback without an xid');
is(read_now($node, 1), '3|miss', 'invalidated all the same');
is(read_now($node, 1), '3|hit', 'and nothing is left in flight');
finish($s);

# while streaming from a pinned entry
like($node->safe_psql('postgres', $big), qr/^60000\|57600000\|miss$/, 'large entry filled');
$s = session($node);
$s->query_safe(q{SET work_mem = '64kB'});
stop_in_replay($node, $s);
kill9($s);
check_recovered('while holding a pin', 3);
finish($s);

# ... while it reads in place
like($node->safe_psql('postgres', $big), qr/^60000\|57600000\|miss$/, 'large entry filled again');
$holder = session($node);
$holder->query_safe('SELECT pg_advisory_lock(30000)');
$s = session($node);
stop_in_place($node, $s);
kill9($s);
check_recovered('while reading in place', 3);
finish($s, $holder);

# prepared, then a crash: as after a restart
$node->safe_psql('postgres',
	q{BEGIN; UPDATE item SET v = v + 1 WHERE id = 1; PREPARE TRANSACTION 'one';});
$s = session($node);
kill9($s);
check_recovered('with a prepared transaction', 3);
$node->safe_psql('postgres', q{COMMIT PREPARED 'one'});
is(read_now($node, 1), '4|miss', 'which invalidates when it commits');
finish($s);

$node->stop;
done_testing();
