# The recommendations that need a server of their own: too little memory, too
# many namespaces.  The others are in sql/health.sql.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => "cache_ext.memory = '2MB'\ncache_ext.max_entry_size = '4MB'\n");
setup($node);

sub topics
{
	return $node->safe_psql('postgres',
		q{SELECT coalesce(string_agg(topic, ', ' ORDER BY topic), 'none') FROM cache_recommendations WHERE topic NOT IN ('hit ratio', 'not worthwhile')});
}

# so many calls, each with a key of its own
sub fill
{
	my ($n, $key, $length) = @_;

	$node->safe_psql('postgres', qq{
		DO \$\$ BEGIN FOR i IN 1 .. $n LOOP
			PERFORM cached_json('$key', format('SELECT repeat(md5(%s::text), %s) AS a', i, $length / 32), '600');
		END LOOP; END \$\$});
	return;
}

is(topics(), 'none', 'at first there is nothing to recommend');
fill(2000, 'f:' . "' || i || '", 3200);
is(topics(), 'memory', 'entries that others need are evicted');
like($node->safe_psql('postgres', 'SELECT figure, advice FROM cache_recommendations'),
	qr/\d+ live entries were evicted for 2000 fills\|Raise cache_ext.memory, now 2MB/, 'with the figure');
is($node->safe_psql('postgres', 'SELECT status FROM cache_health'), 'fair', 'and that is a warning');

$node->append_conf('postgresql.conf', "cache_ext.memory = '64MB'\n");
$node->restart;
fill(2000, 'f:' . "' || i || '", 3200);
is(topics(), 'none', 'with more memory none is');

$node->append_conf('postgresql.conf', "cache_ext.memory = '2MB'\n");
$node->restart;
$node->safe_psql('postgres', 'SELECT cache_stats_reset()');
fill(120, 'f:' . "' || i || '", 800000);
is(topics(), 'discarded fills', 'results find no room at all');
is($node->safe_psql('postgres', q{SELECT figure FROM cache_recommendations WHERE topic = 'discarded fills'}),
	'120 of 120 results were not stored', 'with the figure');
fill(1500, 'f:' . "' || i % 10 || '", 320);
is(topics(), 'none', 'until most of them do');

fill(300, "' || i || '", 32);
is(topics(), 'namespaces', 'keys without a common first segment');
like($node->safe_psql('postgres', q{SELECT figure FROM cache_recommendations WHERE topic = 'namespaces'}),
	qr/^1\d\d calls are not told apart by namespace$/, 'with the figure');
is($node->safe_psql('postgres', q{
	SELECT count(*) = 128, sum(misses) >= 300, bool_or(namespace = '(other)') FROM cache_stats_by_namespace}),
	't|t|t', 'what finds no room is counted together');
# entries that outlive a restart keep their namespaces
$node->safe_psql('postgres', 'SELECT cache_clear()');
$node->restart;
fill(300, 'kind:' . "' || i || '", 32);
is(topics(), 'none', 'with one they are told apart');

# Redis that is not there
$node->append_conf('postgresql.conf', "cache_ext.redis_url = 'unix:///nowhere/redis.sock'\n");
$node->reload;
$node->poll_query_until('postgres', q{SHOW cache_ext.redis_url}, 'unix:///nowhere/redis.sock');
$node->poll_query_until('postgres', q{
	SELECT cached_json('kind:' || clock_timestamp(), 'SELECT 1', 60) IS NOT NULL AND EXISTS (SELECT FROM cache_recommendations WHERE topic = 'Redis')})
  or die 'the circuit breaker never opened';
is($node->safe_psql('postgres', q{SELECT redis_state, status FROM cache_health}), 'open|fair', 'Redis is down');
like($node->safe_psql('postgres', q{SELECT figure FROM cache_recommendations}),
	qr/circuit breaker for server (half-)?open, after \d+ failures/, 'with the figure');
$node->append_conf('postgresql.conf', "cache_ext.redis_url = ''\n");
$node->reload;
$node->poll_query_until('postgres', q{SELECT current_setting('cache_ext.redis_url') = ''});
is(topics(), 'none', 'not asked for any more');
is($node->safe_psql('postgres', q{SELECT redis_state FROM cache_health}), 'off', 'it is off');

$node->stop;
done_testing();
