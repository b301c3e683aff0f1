# Cancel, statement_timeout and terminate at each stage of a call: filling,
# streaming a hit, waiting for another backend's fill.  Nothing is stored, no
# claim stays, no pin: memory in use is what the entries take.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => qq{
cache_ext.memory = '256MB'
cache_ext.max_entry_size = '128MB'
cache_ext.coalesce_timeout = '1h'
});
setup($node);

my $holder = session($node);
my %message = (
	cancel => qr/canceling statement due to user request/,
	timeout => qr/canceling statement due to statement timeout/);

# Arrange something that statement_timeout may interrupt: $arrange is given the
# session's limit and says whether all is as it should be before that is over.  On
# a slow machine it may take more time; $undo then makes an end of what there is.
sub arrange
{
	my ($how, $arrange, $undo) = @_;

	for (my $limit = 1; $limit < $PostgreSQL::Test::Utils::timeout_default; $limit *= 2)
	{
		return if $arrange->($how eq 'timeout' ? "SET statement_timeout = '${limit}s'" : 'SET statement_timeout = 0');
		last if $how ne 'timeout';
		note "$limit s were not enough";
		$undo->();
	}
	die 'it is never as it should be';
}

# Wait until a session's query is where the condition says, or at its end; the
# time is the server's before it was sent.
sub reaches
{
	my ($s, $since, $there) = @_;
	my $pid = pid_of($s);

	$node->poll_query_until('postgres',
		"SELECT ($there) OR state <> 'active' AND query_start > '$since' FROM pg_stat_activity WHERE pid = $pid")
	  or die "backend $pid is neither there nor anywhere";
	return;
}

sub is_true { my ($condition) = @_; return $node->safe_psql('postgres', "SELECT $condition") eq 't'; }
sub server_time { return $node->safe_psql('postgres', 'SELECT clock_timestamp()'); }
sub paused { my ($s, $point) = @_; return "EXISTS (SELECT FROM cext_test_waiting() w WHERE w.pid = " . pid_of($s) . " AND point = '$point')"; }
sub waits { my ($s, $what) = @_; return "EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = " . pid_of($s) . " AND $what)"; }

# Interrupt a session's query by one of three means.
sub interrupt
{
	my ($s, $how) = @_;
	my $function = $how eq 'cancel' ? 'pg_cancel_backend' : 'pg_terminate_backend';

	# the timeout was set beforehand, and comes by itself
	$node->safe_psql('postgres', "SELECT $function(" . pid_of($s) . ')') if $how ne 'timeout';
	return;
}

# ... and see that it worked.
sub interrupted
{
	my ($s, $how, $name) = @_;

	if ($how eq 'terminate')
	{
		wait_gone($node, $s);
		$s->{run}->kill_kill;
		pass("$name: gone");
	}
	else
	{
		like(end_query($s), $message{$how}, "$name: canceled");
		is($s->query("SET statement_timeout = 0; SELECT 'works'"),
			'works', "$name: the session lives on");
		$s->quit;
	}
	return;
}

# filling: before the snapshot, before and after the execution
for my $point (qw(plan start end))
{
	for my $how (qw(cancel timeout terminate))
	{
		my $name = "$how while filling, $point";
		my $s = session($node);
		my $before = memory_used($node);

		$s->query_safe("SET cext_test.pause = '$point'");
		hold($holder, $point);
		arrange($how, sub {
			my ($limit) = @_;

			$s->query_safe($limit);
			my $since = server_time();
			begin_query($s, cached(1));
			reaches($s, $since, paused($s, $point));
			return is_true(paused($s, $point));
		}, sub { end_query($s) });
		interrupt($s, $how);
		interrupted($s, $how, $name);
		release($holder, $point);
		is(memory_used($node), $before, "$name: nothing is stored");
		is(read_now($node, 1), '1|miss', "$name: nobody is thought to fill it");
		is(read_now($node, 1), '1|hit', "$name: and it can be cached");
		$node->safe_psql('postgres', q{SELECT cache_delete('x'), cache_invalidate('item:1')});
	}
}

# waiting for a fill: the waiter goes, the filler is not disturbed; the filler
# goes, the waiter takes over
for my $how (qw(cancel timeout terminate))
{
	for my $victim (qw(waiter filler))
	{
		my $name = "$how of the $victim";
		my $filler = session($node);
		my $waiter = session($node);

		$filler->query_safe(q{SET cext_test.pause = 'start'});
		hold($holder, 'start');
		my ($gone, $left) = $victim eq 'waiter' ? ($waiter, $filler) : ($filler, $waiter);
		my ($fills, $waits) = (paused($filler, 'start'), waits($waiter, q{wait_event_type = 'Extension'}));
		arrange($how, sub {
			my ($limit) = @_;

			$gone->query_safe($limit);
			my $since = server_time();
			begin_query($filler, cached(1));
			reaches($filler, $since, $fills);
			begin_query($waiter, cached(1));
			reaches($waiter, $since, $waits);
			return is_true("$fills AND $waits");
		}, sub {
			release($holder, 'start');
			end_query($_) for $filler, $waiter;
			$node->safe_psql('postgres', q{SELECT cache_invalidate('item:1')});
			hold($holder, 'start');
		});
		interrupt($gone, $how);
		interrupted($gone, $how, $name);
		release($holder, 'start');
		is(end_query($left), '1|miss', "$name: the other one computes");
		is(read_now($node, 1), '1|hit', "$name: and stores");
		$left->quit;
		$node->safe_psql('postgres', q{SELECT cache_invalidate('item:1')});
	}
}

# streaming a hit
like($node->safe_psql('postgres', $big), qr/^60000\|57600000\|miss$/, 'large entry filled');
my $entry = memory_used($node);
for my $how (qw(cancel timeout terminate))
{
	my $name = "$how while streaming";
	my $s = session($node);

	$s->query_safe(q{SET work_mem = '64kB'});
	$s->query_safe(q{SET statement_timeout = '1s'}) if $how eq 'timeout';
	stop_in_replay($node, $s);
	interrupt($s, $how);
	# the timeout was under way when the process was stopped
	my $since = server_time();
	$node->poll_query_until('postgres', "SELECT clock_timestamp() > timestamptz '$since' + '1 s'") if $how eq 'timeout';
	kill 'CONT', pid_of($s);
	interrupted($s, $how, $name);
	refill($name);
}

# reading it in place
$holder->query_safe('SELECT pg_advisory_lock(30000)');
for my $how (qw(cancel timeout terminate))
{
	my $name = "$how while reading in place";
	my $s = session($node);

	my $waits = waits($s, q{wait_event = 'advisory'});
	arrange($how, sub {
		my ($limit) = @_;

		$s->query_safe($limit);
		my $since = server_time();
		begin_query($s, $big_in_place);
		reaches($s, $since, $waits);
		return is_true($waits);
	}, sub { end_query($s) });
	interrupt($s, $how);
	interrupted($s, $how, $name);
	refill($name);
}

# an error there, in a transaction that goes on
{
	my $s = session($node);

	$s->query_safe(q{SET lock_timeout = '10ms'; BEGIN; SAVEPOINT a});
	begin_query($s, $big_in_place);
	like(end_query($s), qr/canceling statement due to lock timeout/, 'error while reading in place');
	$s->query_safe('ROLLBACK TO a');
	refill('error while reading in place');
	is($s->query_safe("SELECT 'works'; COMMIT"), 'works', 'error while reading in place: the transaction goes on');
	$s->quit;
}

# an entry that is replaced under such a reader
{
	my $s = session($node);

	stop_in_place($node, $s);
	$node->safe_psql('postgres', q{SELECT cache_invalidate('big')});
	like($node->safe_psql('postgres', $big), qr/miss$/, 'refilled while it is being read in place');
	cmp_ok(memory_used($node), '>', 1.9 * $entry, 'both are in memory');
	$holder->query_safe('SELECT pg_advisory_unlock(30000)');
	is(end_query($s), '60000|57600000|hit', 'who reads in place gets the whole of the old one');
	is(memory_used($node), $entry, 'which is gone then');
	$s->quit;
}

# an error while streaming: the temporary file grows too large
{
	my $s = session($node);

	$s->query_safe(q{SET work_mem = '64kB'; SET temp_file_limit = '10MB'});
	begin_query($s, $big);
	like(end_query($s), qr/temporary file size exceeds/, 'error while streaming');
	refill('error while streaming');
	$s->quit;
}

# an entry that is replaced under its reader stays until that has finished
{
	my $s = session($node);

	$s->query_safe(q{SET work_mem = '64kB'});
	stop_in_replay($node, $s);
	$node->safe_psql('postgres', q{SELECT cache_invalidate('big')});
	like($node->safe_psql('postgres', $big), qr/miss$/, 'refilled while it is being read');
	cmp_ok(memory_used($node), '>', 1.9 * $entry, 'both are in memory');
	kill 'CONT', pid_of($s);
	is(end_query($s), '60000|57600000|hit', 'the reader gets the whole of the old one');
	is(memory_used($node), $entry, 'which is gone then');
	$s->quit;
}

# The entry was pinned by somebody who is gone: replaced, its memory is free.
sub refill
{
	my ($name) = @_;

	$node->safe_psql('postgres', q{SELECT cache_invalidate('big')});
	like($node->safe_psql('postgres', $big), qr/^60000\|57600000\|miss$/, "$name: refilled");
	is(memory_used($node), $entry, "$name: no pin is left");
	return;
}

# what is dead goes when there is need of its memory, and
# nothing else holds any
$node->safe_psql('postgres', 'SELECT cache_clear()');
$node->safe_psql('postgres', q{
	SELECT count(cached_json('small:' || g, 'SELECT repeat(''x'', 500000) || $1', 600, g))
	FROM generate_series(1, 600) g});
is($node->safe_psql('postgres', q{SELECT count(*) FROM cache_entries WHERE key = 'big'}),
	'0', 'the dead have made room');
is( $node->safe_psql('postgres', q{
	SELECT entries = (SELECT count(*) FROM cache_entries), memory_used <= memory_limit,
		memory_used - (SELECT sum(ceil(size / 256.0)) * 256 FROM cache_entries)
	FROM cache_stats}),
	't|t|0', 'all memory in use belongs to an entry');

$holder->quit;
$node->stop;
done_testing();
