# Entries that are in Redis alone are computed anew ahead of their end, as those
# in shared memory are.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextRedis;
use CextTest;
use Test::More;

plan skip_all => redis_missing() if defined redis_missing();

my $redis = CextRedis->new('refresh');
my $node = new_node('main', conf => qq{
cache_ext.redis_url = '@{[$redis->url]}'
cache_ext.redis_connect_timeout = 60s
cache_ext.redis_timeout = 60s
cache_ext.save_entries = off
});
setup($node);

# so much ahead that hits in the second half of its life soon draw a refresh; and
# the first half is enough for a restart
$node->safe_psql('postgres', q{
	INSERT INTO cache_policy (name, key_pattern, ttl, refresh_ahead, tier) VALUES
		('remote', 'remote:*', '40 s', 100, 'redis'),
		('both', 'both:*', '40 s', 100, 'tiered')});

sub sql { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
sub call { my ($key) = @_; return "SELECT cached_json('$key', 'SELECT v FROM item WHERE id = 1', NULL)->0->>'v'"; }
my $last = '(cache_last_status()).status, (cache_last_status()).tier';

# what only Redis has after a restart has its time from there, too
sql(call($_) . ", $last") for qw(remote:1 both:1);
$node->restart;
is(sql(call('both:1') . ", $last"), '1|hit|redis', 'from Redis');
is(sql(call('both:1') . ", $last"), '1|hit|shared_memory', '... and into shared memory');
is(sql(call('remote:1') . ", $last"), '1|hit|redis', 'from Redis');
sql('SELECT cache_stats_reset()');
$node->poll_query_until('postgres',
	'SELECT (' . call('both:1') . ') IS NULL OR (' . call('remote:1') . ') IS NULL OR refreshes >= 2 OR misses > 0 FROM cache_stats')
  or die 'nothing happens';
is(sql('SELECT refreshes >= 2, misses FROM cache_stats'), 't|0', 'both are computed anew ahead of their end');
is(sql(call('remote:1') . ", $last, (cache_last_status()).ttl_left > '20 s'"), '1|hit|redis|t', 'and written to Redis');

$node->stop;
done_testing();
