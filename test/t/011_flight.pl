# Single flight: of all who miss one entry, one computes and the others take its
# result; whatever becomes of it, nobody is left waiting, and nobody waits where
# that is of no use.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use Test::More;

# nobody gives up waiting unless that is the question
my $node = new_node('main', conf => "cache_ext.coalesce_timeout = '1h'\n");
setup($node);
$node->safe_psql(
	'postgres', q{
	-- computing takes as long as somebody holds this lock
	CREATE FUNCTION slow() RETURNS integer STABLE LANGUAGE plpgsql AS
	$$BEGIN
		PERFORM pg_advisory_xact_lock_shared(1);
		RETURN (SELECT v FROM item WHERE id = 1);
	END$$;
	CREATE FUNCTION ask(key text, other text) RETURNS jsonb STABLE LANGUAGE plpgsql AS
	$$BEGIN
		PERFORM pg_advisory_xact_lock_shared(1);
		RETURN cached_json(other, 'SELECT 1 AS one', 600);
	END$$;
});

my $holder = session($node);

sub call
{
	my ($key, $query) = @_;

	$query //= 'SELECT slow() AS v';
	return "SELECT cached_json('$key', '$query', 600)->0->>'v', (cache_last_status()).status";
}

sub hold_lock    { $holder->query_safe('SELECT pg_advisory_lock(1)'); return; }
sub release_lock { $holder->query_safe('SELECT pg_advisory_unlock(1)'); return; }
sub reset_stats  { $node->safe_psql('postgres', 'SELECT cache_stats_reset()'); return; }

sub stat_of
{
	my ($name) = @_;

	return $node->safe_psql('postgres', "SELECT $name FROM cache_stats");
}

# How many wait for another's fill, and how many compute?
sub wait_for_waiters
{
	my ($waiting, $computing) = @_;

	$node->poll_query_until(
		'postgres', qq{
		SELECT count(*) FILTER (WHERE wait_event IN ('Extension', 'CacheExtFill')) = $waiting
		   AND count(*) FILTER (WHERE wait_event = 'advisory') = $computing
		FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%cached_json%'
		 AND pid <> pg_backend_pid()})
	  or die "never $waiting waiting and $computing computing";
	return;
}

my @s = map { session($node) } 1 .. 10;

# the rule
reset_stats();
hold_lock();
begin_query($_, call('flight:1')) for @s;
wait_for_waiters(9, 1);
release_lock();
my @answers = sort map { end_query($_) } @s;
is_deeply(\@answers, [ ('1|hit') x 9, '1|miss' ], 'one computes, nine take its result');
is(stat_of('fills'), 1, 'one fill');
is(stat_of('coalesced'), 9, 'nine coalesced');

# the filler is canceled, then terminated: somebody takes over
for my $how ('cancel', 'terminate')
{
	reset_stats();
	hold_lock();
	begin_query($s[0], call("flight:$how"));
	wait_for_waiters(0, 1);
	begin_query($_, call("flight:$how")) for @s[ 1 .. 4 ];
	wait_for_waiters(4, 1);
	$node->safe_psql('postgres', "SELECT pg_${how}_backend(" . pid_of($s[0]) . ')');
	wait_for_waiters(3, 1);
	release_lock();
	@answers = sort map { end_query($_) } @s[ 1 .. 4 ];
	is_deeply(\@answers, [ ('1|hit') x 3, '1|miss' ], "$how: one of the others computes");
	is(stat_of('fills'), 1, "$how: one fill");
	if ($how eq 'cancel')
	{
		like(end_query($s[0]), qr/canceling statement/, 'cancel: the filler says so');
	}
	else
	{
		wait_gone($node, $s[0]);
		$s[0]->{run}->kill_kill;
		$s[0] = session($node);
	}
}

# a waiter can be canceled
hold_lock();
begin_query($s[0], call('flight:waiter'));
wait_for_waiters(0, 1);
begin_query($s[1], call('flight:waiter'));
wait_for_waiters(1, 1);
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . pid_of($s[1]) . ')');
like(end_query($s[1]), qr/canceling statement/, 'a waiter is canceled at once');
release_lock();
is(end_query($s[0]), '1|miss', 'the filler goes on');

# nobody waits longer than the setting says
hold_lock();
begin_query($s[0], call('flight:timeout'));
wait_for_waiters(0, 1);
$s[1]->query_safe("SET cache_ext.coalesce_timeout = '50ms'");
begin_query($s[1], call('flight:timeout'));
wait_for_waiters(0, 2);
$s[2]->query_safe('SET cache_ext.coalesce_timeout = 0');
begin_query($s[2], call('flight:timeout'));
wait_for_waiters(0, 3);
release_lock();
is_deeply([ map { end_query($_) } @s[ 0 .. 2 ] ], [ ('1|miss') x 3 ], 'timeout: they compute for themselves');
$_->query_safe('RESET cache_ext.coalesce_timeout') for @s[ 1, 2 ];

# nor for a result that an invalidation has overtaken
hold_lock();
begin_query($s[0], call('flight:overtaken'));
wait_for_waiters(0, 1);
begin_query($s[1], call('flight:overtaken'));
wait_for_waiters(1, 1);
$node->safe_psql('postgres', "SELECT cache_invalidate('flight:*')");
wait_for_waiters(0, 2);
begin_query($s[2], call('flight:overtaken'));
wait_for_waiters(1, 2);
release_lock();
is(end_query($s[0]), '1|miss', 'overtaken: the first computes for itself');
is(end_query($s[1]), '1|miss', 'overtaken: the next takes over');
is(end_query($s[2]), '1|hit', 'overtaken: the third takes that result');

# nor for what cannot be stored, once that is known
my $volatile = 'SELECT slow() AS v, random()';
is($node->safe_psql('postgres', call('flight:volatile', $volatile)), '1|bypass', 'not cacheable');
hold_lock();
begin_query($_, call('flight:volatile', $volatile)) for @s[ 0 .. 2 ];
wait_for_waiters(0, 3);
release_lock();
is_deeply([ map { end_query($_) } @s[ 0 .. 2 ] ], [ ('1|bypass') x 3 ], 'not cacheable: nobody queues up');

# two that need each other's result do not wait for each other
hold_lock();
$node->safe_psql('postgres', "SELECT cache_invalidate('cross:*')");
begin_query($s[0], q{SELECT cached_json('cross:a', 'SELECT ask(''a'', ''cross:b'')', 600)});
begin_query($s[1], q{SELECT cached_json('cross:b', 'SELECT ask(''b'', ''cross:a'')', 600)});
wait_for_waiters(0, 2);
release_lock();
like(end_query($s[$_]), qr/"one": 1/, 'crossed fills end') for 0, 1;

$_->quit for @s, $holder;
$node->stop;
done_testing();
