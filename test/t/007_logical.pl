# Rows that logical replication applies invalidate on the subscriber, where
# cache_attach has put its triggers; also partitions, TRUNCATE and two-phase.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use Test::More;

my $publisher = new_node('publisher', allows_streaming => 'logical');
my $subscriber = new_node('subscriber', allows_streaming => 'logical');
my $tables = q{
	CREATE TABLE item (id integer PRIMARY KEY, v integer);
	CREATE TABLE keyless (id integer PRIMARY KEY, v integer);
	CREATE TABLE part (id integer PRIMARY KEY, v integer) PARTITION BY RANGE (id);
	CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10);
	CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (10) TO (20);
};

$publisher->safe_psql(
	'postgres', $tables . q{
	INSERT INTO item VALUES (1, 1), (2, 1);
	INSERT INTO keyless VALUES (1, 1);
	INSERT INTO part VALUES (1, 1), (11, 1);
	CREATE PUBLICATION pub FOR TABLE item, keyless, part;
});
$subscriber->safe_psql(
	'postgres', $tables . q{
	CREATE EXTENSION cache_ext;
	SELECT cache_attach('item', 'item:{id}');
	SELECT cache_attach('keyless');
	SELECT cache_attach('part', 'part:{id}');
});
my $connstr = $publisher->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres',
	"CREATE SUBSCRIPTION sub CONNECTION '$connstr' PUBLICATION pub WITH (two_phase = true)");
$subscriber->wait_for_subscription_sync($publisher, 'sub');
$subscriber->poll_query_until('postgres', q{SELECT subtwophasestate = 'e' FROM pg_subscription})
  or die 'no two-phase commit';

my %reads = (
	item => [ 'item:1', 'SELECT v FROM item WHERE id = 1' ],
	other => [ 'item:2', 'SELECT v FROM item WHERE id = 2' ],
	keyless => [ 'whatever', 'SELECT sum(v) AS v FROM keyless' ],
	part => [ 'part:11', 'SELECT v FROM part WHERE id = 11' ],
	part_sum => [ 'part:1', 'SELECT coalesce(sum(v), 0) AS v FROM part WHERE id < 10' ]);

sub get
{
	my ($name) = @_;
	my ($key, $query) = @{ $reads{$name} };

	return $subscriber->safe_psql('postgres',
		"SELECT cached_json('$key', '$query', 600)->0->>'v', (cache_last_status()).status");
}

# Change something on the publisher; as soon as a plain SELECT on the subscriber
# shows it, so does a cached one.
sub applied
{
	my ($name, $what, $sql, $expected) = @_;
	my ($key, $query) = @{ $reads{$name} };

	get($name);
	like(get($name), qr/\|hit$/, "$what: cached");
	$publisher->safe_psql('postgres', $sql) if defined $sql;
	$subscriber->poll_query_until('postgres', "SELECT v = $expected FROM ($query) q")
	  or die 'not applied';
	is(get($name), "$expected|miss", "$what: invalidated");
	# what was read between the row's being visible and the end of the commit does
	# not stay
	$publisher->wait_for_catchup('sub');
	like(get($name), qr/^$expected\|(hit|miss)$/, "$what: as before");
	is(get($name), "$expected|hit", "$what: cached again");
	return;
}

get('other');
applied('item', 'UPDATE', 'UPDATE item SET v = 2 WHERE id = 1', 2);
is(get('other'), '1|hit', 'UPDATE: of other rows nothing is invalidated');
applied('keyless', 'INSERT', 'INSERT INTO keyless VALUES (2, 10)', 11);
applied('keyless', 'DELETE', 'DELETE FROM keyless WHERE id = 1', 10);
applied('part', 'partition', 'UPDATE part SET v = 3 WHERE id = 11', 3);
applied('part_sum', 'TRUNCATE of a partition', 'TRUNCATE part1', 0);

# a transaction that is prepared there is prepared here
get('item');
$publisher->safe_psql('postgres',
	q{BEGIN; UPDATE item SET v = 5 WHERE id = 1; PREPARE TRANSACTION 'one'});
$subscriber->poll_query_until('postgres', 'SELECT count(*) = 1 FROM pg_prepared_xacts')
  or die 'not prepared';
is(get('item'), '2|hit', 'PREPARE: the old row is the right one');
applied('item', 'COMMIT PREPARED', q{COMMIT PREPARED 'one'}, 5);

$subscriber->stop;
$publisher->stop;
done_testing();
