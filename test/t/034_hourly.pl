# The history of the last hours survives a clean restart, and no other.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
setup($node);
$node->safe_psql('postgres',
	q{CREATE FUNCTION history_age(integer) RETURNS void AS 'cache_ext', 'cache_history_age' LANGUAGE c});

# what the view shows, without the clock
sub history
{
	return $node->safe_psql('postgres', q{
		SELECT string_agg(concat_ws('/', hits, misses, bypasses, invalidations), ' ' ORDER BY hour DESC) ||
			' ' || bool_and(hits = 0 OR hit_time_p50_ms > 0)
		FROM cache_stats_hourly});
}

# now/before/...: the restart may meet the end of an hour, which adds one
sub like_history
{
	my ($expected, $name) = @_;

	like(history(), qr{^(0/0/0/0 )?$expected true$}, $name);
	return;
}

# an hour that ends soon would divide what belongs together
$node->poll_query_until('postgres', q{SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'MI')::integer < 58});
$node->safe_psql('postgres', 'SELECT cache_stats_reset()');
read_now($node, 1) for 1 .. 4;
$node->safe_psql('postgres', 'SELECT history_age(2)');
read_now($node, 1);
$node->safe_psql('postgres', q{SELECT cached_json('x', 'SELECT random()', 60)});
$node->safe_psql('postgres', 'UPDATE item SET v = v + 1 WHERE id = 5');
my $tags = qr/[1-9]\d*/;
my $past = "0/0/0/0 3/1/0/0";
like_history("1/0/1/$tags $past", 'an hour, one without calls, and the current one');
my $before = history();

$node->restart;
like_history("1/0/1/$tags $past", 'all of it is there after a restart');
is(read_now($node, 2), "1|miss", "a miss, now");
like_history("1/1/1/$tags $past", 'the current hour goes on');
$node->restart;
$node->restart;
like_history("1/1/1/$tags $past", 'after two more restarts, too');
is($node->safe_psql('postgres', 'SELECT hits + misses FROM cache_stats'),
	'0', 'while the totals start anew');
$node->safe_psql('postgres', 'SELECT history_age(1)');
like_history("0/0/0/0 1/1/1/$tags $past", 'the hour ends as any other');
$node->safe_psql('postgres', 'SELECT history_age(23)');
unlike(history(), qr/[1-9]/, 'a day later nothing is left');

read_now($node, 1);
like(history(), qr{^(0/0/0/0 )?[01]/[01]/}, "a call");
$node->stop('immediate');
$node->start;
is(history(), '0/0/0/0 true', 'after a crash, nothing is there');

$node->stop;
done_testing();
