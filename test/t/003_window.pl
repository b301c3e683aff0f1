# While a commit is under way: the old entry is a hit as long as its rows are the
# visible ones, however long that takes, and never after (G1, G2).  The specs
# commit-window and fill-race have the orders; here are the waits that only TAP
# can arrange, many readers, and ways out of the wait that are no commit.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', allows_streaming => 1);
setup($node);

sub set_sync
{
	my ($names) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = '$names'");
	$node->reload;
	$node->poll_query_until('postgres',
		"SELECT current_setting('synchronous_standby_names') = '$names'");
	# it is the checkpointer that makes commits wait, and it looks at its settings
	# between two checkpoints
	$node->safe_psql('postgres', 'CHECKPOINT; CHECKPOINT');
	return;
}

my $writer = session($node);
my $update = 'UPDATE item SET v = v + 1 WHERE id = 1';

# a standby that does not come
set_sync('nobody');
is(read_now($node, 1), '1|miss', 'filled');
is(read_now($node, 1, 'glob:1'), '1|miss', 'filled for a pattern');
$writer->query_safe('SET synchronous_commit = on');
begin_query($writer, $update);
$node->poll_query_until('postgres',
	"SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = " . pid_of($writer))
  or die 'writer does not wait';
is($node->safe_psql('postgres', 'SELECT v FROM item WHERE id = 1'),
	'1', 'waiting for synchronous replication: the new row is not visible');
is(read_now($node, 1), '1|hit', 'and the old entry is a hit');
is(read_now($node, 1, 'glob:1'), '1|hit', 'also where a pattern is in flight');
is(read_now($node, 1, 'glib:1'), '1|miss', 'what is read meanwhile');
is(read_now($node, 1, 'glib:1'), '1|hit', 'is cached meanwhile');

# many more writers wait than a slot collision could explain away
my @more = map { session($node) } 1 .. 4;
for my $i (0 .. 3)
{
	$more[$i]->query_safe('SET synchronous_commit = on');
	begin_query($more[$i], 'UPDATE item SET v = v + 1 WHERE id = ' . (2 + $i));
}
$node->poll_query_until('postgres',
	"SELECT count(*) = 5 FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
  or die 'writers do not wait';
is(read_now($node, 1), '1|hit', 'still a hit while others wait too');

# let one go by a cancel: it has committed
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . pid_of($writer) . ')');
like(end_query($writer), qr/canceling wait for synchronous replication/, 'wait canceled');
is(read_now($node, 1), '2|miss', 'committed, and read as such');
is(read_now($node, 1, 'glob:1'), '2|miss', 'by patterns too');
is(read_now($node, 1, 'glib:1'), '2|miss', 'and what was read meanwhile is gone');
is(read_now($node, 2), '1|miss', 'the others still wait');
set_sync('');
end_query($_) for @more;
is(read_now($node, 2), '2|miss', 'until they do not');
is(read_now($node, 2), '2|hit', 'and that is cached');

# stopped just before, and terminated or canceled there: nothing happened
my $holder = session($node);
for my $how (qw(pg_cancel_backend pg_terminate_backend))
{
	my $s = session($node);

	$s->query_safe(q{SET cext_test.pause = 'pre_commit'});
	hold($holder, 'pre_commit');
	begin_query($s, $update);
	wait_paused($node, $s, 'pre_commit');
	is(read_now($node, 1), '2|hit', "$how: a hit while stopped before the commit");
	$node->safe_psql('postgres', "SELECT $how(" . pid_of($s) . ')');
	$node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE state = 'active' AND pid = " . pid_of($s));
	release($holder, 'pre_commit');
	if ($how eq 'pg_cancel_backend')
	{
		like(end_query($s), qr/canceling statement due to user request/, "$how: canceled");
		$s->quit;
	}
	else
	{
		wait_gone($node, $s);
		$s->{run}->kill_kill;
	}
	like(read_now($node, 1), qr/^2\|/, "$how: the row is unchanged");
	is(read_now($node, 1), '2|hit', "$how: nothing is left in flight");
}

# stopped when visible, and terminated there: that takes effect after the commit
$writer->query_safe(q{SET cext_test.pause = 'commit'});
hold($holder, 'commit');
begin_query($writer, $update);
wait_paused($node, $writer, 'commit');
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . pid_of($writer) . ')');
my %seen;
$seen{ read_now($node, 1) }++ for 1 .. 20;
is_deeply([ keys %seen ], ['3|miss'], 'in the window every read is of the new row');
release($holder, 'commit');
wait_gone($node, $writer);
$writer->{run}->kill_kill;
is(read_now($node, 1), '3|miss', 'after it too');
is(read_now($node, 1), '3|hit', 'and is cached again');

$_->quit for @more, $holder;
$node->stop;
done_testing();
