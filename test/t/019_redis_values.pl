# Values set by cache_set() reach Redis behind the commit, come back in one round
# trip, and not after they were deleted, replaced or invalidated.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextRedis;
use CextTest;
use Test::More;

my $redis = CextRedis->new('values');
my $node = new_node('main', conf => qq{
cache_ext.redis_url = '@{[$redis->url]}'
cache_ext.redis_connect_timeout = 60s
cache_ext.redis_timeout = 60s
cache_ext.save_entries = off
});
setup($node);

sub sql { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
sub keys_there { return join ' ', sort map { /:(v:\d+):/ ? $1 : () } split /\n/, $redis->cli('KEYS', '*'); }

sub wait_for_keys
{
	my ($expected) = @_;

	$node->poll_query_until('postgres',
		"SELECT redis_writes >= $expected FROM cache_stats") or die "never written";
	return;
}

sub restart
{
	$node->restart;
	wait_worker($node) or die 'no worker';
	return;
}

wait_worker($node) or die 'no worker';
sql(q{BEGIN; SELECT cache_set('v:0', '0'); ROLLBACK});
sql(q{SELECT cache_set('v:1', '{"a": 1}', 600)});
sql(q{SELECT cache_set_many('{"v:2": 2, "v:3": "three", "v:4": 4}', 600)});
wait_for_keys(4);
is(keys_there(), 'v:1 v:2 v:3 v:4', 'what was committed is written behind');

# deleted and replaced: what is in Redis of before is dead
sql(q{SELECT cache_delete('v:2')});
sql(q{SELECT cache_set('v:4', '44', 600)});
wait_for_keys(5);
restart();

my $many = q{SELECT string_agg(coalesce(value::text, '-'), ' ' ORDER BY key) FROM cache_get_many('{v:0,v:1,v:2,v:3,v:4}')};
is(sql($many), '- {"a": 1} - "three" 44', 'after a restart they come from Redis');
is(sql('SELECT redis_hits, redis_misses FROM cache_stats'), '3|2', 'as the counters say');
is(sql($many . q{; SELECT (cache_last_status()).status}), qq{- {"a": 1} - "three" 44\nhit}, 'and once more');
is(sql(q{SELECT redis_hits FROM cache_stats}), '3', 'those that were found from shared memory');

# in one round trip: nothing else could answer while Redis stands still
my $writes = sql('SELECT redis_writes FROM cache_stats');
sql(q{SELECT cache_set_many((SELECT jsonb_object_agg('v:' || g, g) FROM generate_series(100, 299) g), 600)});
wait_for_keys($writes + 200);
restart();
is(sql(q{SELECT count(value), sum(value::int) FROM cache_get_many((SELECT array_agg('v:' || g) FROM generate_series(100, 299) g))}),
	'200|39900', 'two hundred at once');

# the transaction's own, and what it has invalidated
is(sql(q{BEGIN; SELECT cache_set('v:1', '11');
		SELECT cache_invalidate('v:3');
		SELECT string_agg(coalesce(value::text, '-'), ' ' ORDER BY key) FROM cache_get_many('{v:1,v:3,v:4}'); ROLLBACK}) =~ /^11 - 44$/m,
	1, 'its own changes are seen by a transaction');
sql(q{SELECT cache_invalidate('v:*')});
restart();
is(sql($many), '- - - - -', 'invalidated ones do not come back');

# prepared before a restart, committed after it
sql(q{SELECT cache_set('v:1', '1', 600)});
wait_for_keys(1);
sql(q{BEGIN; SELECT cache_invalidate('v:1'); PREPARE TRANSACTION 'p'});
restart();
sql(q{COMMIT PREPARED 'p'});
is(sql(q{SELECT cache_get('v:1') IS NULL}), 't', 'nor what a prepared transaction invalidated');

# a policy says where its keys are
sql(q{INSERT INTO cache_policy (name, key_pattern, ttl, tier) VALUES
		('secret', 'secret:*', '10 minutes', 'shared_memory'),
		('large', 'large:*', '10 minutes', 'redis'),
		('both', 'both:*', '10 minutes', 'tiered')});
sub where
{
	my ($key) = @_;

	return join ' ', $node->safe_psql('postgres',
		"SELECT count(*) FROM cache_entries WHERE key = '$key'"),
	  scalar(grep { /:\Q$key\E:/ } split /\n/, $redis->cli('KEYS', '*'));
}
for my $storage (qw(default shared_memory redis))
{
	sql("SET cache_ext.storage = $storage; SELECT cached_json('$_:$storage', 'SELECT 1', NULL), cached_json('$_:$storage', 'SELECT 2', 60)")
	  for qw(secret large both);
	is(where("secret:$storage"), '2 0', "$storage: kept out of Redis, whatever time the call gives");
	is(where("large:$storage"), '0 2', "$storage: in Redis alone");
	is(where("both:$storage"), '2 2', "$storage: in both");
	is(sql("SET cache_ext.storage = $storage; SELECT cached_json('large:$storage', 'SELECT 1', NULL); SELECT status, tier FROM cache_last_status()") =~ /hit\|redis$/,
		1, "$storage: and found there");
}
$writes = sql('SELECT redis_writes FROM cache_stats');
sql(q{SELECT cache_set('secret:v', '1'), cache_set('both:v', '2')});
wait_for_keys($writes + 1);
is(where('both:v'), '1 1', 'a value, too');
is(where('secret:v'), '1 0', 'and one that is kept out');
is(sql(q{SELECT string_agg(value::text, ' ' ORDER BY key) FROM cache_get_many('{secret:v,both:v}')}), '2 1', 'both are found');

# without Redis there is shared memory
sql(q{SELECT cache_set('v:5', '5', 600)});
$redis->kill_now;
is(sql(q{SELECT cache_get('v:5')}), '5', 'Redis gone: from shared memory');
sql(q{SELECT cache_set('v:6', '6', 600)});
is(sql(q{SELECT cache_get('v:6')}), '6', 'and set as ever');

$node->stop;
done_testing();
