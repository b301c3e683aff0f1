# TLS to Redis: authorities, names, addresses, client certificates.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextRedis;
use CextTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

plan skip_all => redis_missing() if defined redis_missing();
plan skip_all => 'no openssl here' if system('command -v openssl >/dev/null 2>&1') != 0;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $port = PostgreSQL::Test::Cluster::get_free_port();

sub openssl
{
	my (@args) = @_;
	my $out;

	IPC::Run::run([ 'openssl', @args ], '>', \$out, '2>&1') or die "openssl @args: $out";
	return;
}

sub authority
{
	my ($name) = @_;

	openssl(qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout),
		"$dir/$name.key", '-out', "$dir/$name.crt", '-subj', "/CN=$name");
	return;
}

sub certificate
{
	my ($name, $ca, $alt) = @_;

	append_to_file("$dir/$name.ext", "subjectAltName = $alt\n");
	openssl(qw(req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout), "$dir/$name.key",
		'-out', "$dir/$name.csr", '-subj', "/CN=$name");
	openssl(qw(x509 -req -days 2 -CAcreateserial -in), "$dir/$name.csr", '-CA', "$dir/$ca.crt",
		'-CAkey', "$dir/$ca.key", '-extfile', "$dir/$name.ext", '-out', "$dir/$name.crt");
	return;
}

authority('ca');
authority('other');
certificate('localhost', 'ca', 'DNS:localhost');
certificate('address', 'ca', 'IP:127.0.0.1');
certificate('elsewhere', 'ca', 'DNS:redis.example');
certificate('foreign', 'other', 'DNS:localhost,IP:127.0.0.1');
certificate('client', 'ca', 'DNS:client');
openssl('ec', '-in', "$dir/client.key", '-aes256', '-passout', 'pass:secret', '-out', "$dir/locked.key");

sub tls_redis
{
	my ($certificate, $clients) = @_;

	return CextRedis->new("tls_$certificate", args => [
		'--tls-port', $port, '--tls-cert-file', "$dir/$certificate.crt",
		'--tls-key-file', "$dir/$certificate.key", '--tls-ca-cert-file', "$dir/ca.crt",
		'--tls-auth-clients', $clients // 'no' ]);
}

my $node = new_node('main', conf => qq{
cache_ext.redis_url = 'rediss://localhost:$port'
cache_ext.redis_tls_ca_file = '$dir/ca.crt'
cache_ext.redis_connect_timeout = 60s
cache_ext.redis_timeout = 60s
cache_ext.redis_backoff_max = 100
cache_ext.storage = 'redis'
});
setup($node);

# Is Redis used, with this certificate and these settings?
sub works
{
	my ($what, $settings) = @_;

	reload($node, %$settings) if defined $settings;
	ok(wait_tier($node), "$what: works");
	return;
}

sub refused
{
	my ($what, $error, $settings) = @_;
	my $seen;

	reload($node, %$settings) if defined $settings;
	for (1 .. 200)
	{
		is(read_tier($node, 1), '1|miss', "$what: answered") if $_ == 1;
		$node->safe_psql('postgres', tier(1));
		$seen = $node->safe_psql('postgres', q{SELECT string_agg(last_error, '') FROM cache_redis WHERE purpose = 'server'});
		last if $seen =~ $error;
		usleep(20_000);
	}
	like($seen, $error, "$what: refused");
	return;
}

my $redis = tls_redis('localhost');
works('right name');
my $big = q{SELECT length(cached_json('big', 'SELECT string_agg(md5(g::text), '''') FROM generate_series(1, 50000) g', 600)::text), (cache_last_status()).};
like($node->safe_psql('postgres', "${big}status"), qr/^\d{7}\|miss$/, 'a large result goes there');
like($node->safe_psql('postgres', "${big}tier"), qr/^\d{7}\|redis$/, 'and comes back');

# a session that stays connects again, and goes by the settings there are then
my $stays = session($node);
$stays->query_safe(tier(1));
is($stays->query_safe(tier(1)), '1|redis', 'a session that stays');
$redis->kill_now;
$redis = tls_redis('localhost');
is($stays->query_safe(tier(1)), '1|miss', 'Redis was restarted: it is empty');
is($stays->query_safe(tier(1)), '1|redis', '... and in use again by the same session');
# more than a socket takes at once, while nobody reads it
reload($node, 'cache_ext.redis_timeout' => 200, 'cache_ext.redis_connect_timeout' => 200);
$stays->query_safe('SET cache_ext.compression = off');
$redis->pause;
is($stays->query_safe(q{SELECT length(cached_json('large', 'SELECT string_agg(md5(g::text), '''') FROM generate_series(1, 100000) g', 600)::text) > 3000000}),
	't', 'a large result, which Redis does not take: answered');
like($stays->query_safe(q{SELECT string_agg(last_error, '') FROM cache_redis}), qr/no answer within the time allowed/, '... in time');
$redis->continue;
reload($node, 'cache_ext.redis_timeout' => '60s', 'cache_ext.redis_connect_timeout' => '60s');
ok(wait_tier($node), '... and used again');
reload($node, 'cache_ext.redis_tls_ca_file' => "$dir/other.crt");
for (1 .. 1000)
{
	$stays->query_safe(tier(1));
	last if $stays->query_safe(q{SELECT string_agg(last_error, '') FROM cache_redis}) =~ /self.signed|unable to get local issuer/i;
	usleep(20_000);
}
like($stays->query_safe(q{SELECT string_agg(last_error, '') FROM cache_redis}), qr/self.signed|unable to get local issuer/i,
	'another authority: refused by the session that had trusted it');
reload($node, 'cache_ext.redis_tls_ca_file' => "$dir/ca.crt");
ok(wait_tier($node), 'the right one again');
is($stays->query_safe(tier(1)), '1|redis', 'and works again');
$stays->quit;

refused('address instead of a name', qr/IP address mismatch/,
	{ 'cache_ext.redis_url' => "rediss://127.0.0.1:$port" });
works('server_name', { 'cache_ext.redis_tls_server_name' => 'localhost' });
refused('wrong server_name', qr/hostname mismatch/i, { 'cache_ext.redis_tls_server_name' => 'redis.example' });
reload($node, 'cache_ext.redis_tls_server_name' => '', 'cache_ext.redis_url' => "rediss://localhost:$port");
works('the name again');
refused('other authority', qr/self.signed|unable to get local issuer/i, { 'cache_ext.redis_tls_ca_file' => "$dir/other.crt" });
refused("the system's authorities", qr/self.signed|unable to get local issuer/i, { 'cache_ext.redis_tls_ca_file' => '' });
refused('no such file', qr/could not load the certificates of authorities/, { 'cache_ext.redis_tls_ca_file' => "$dir/none.crt" });
works('right authority', { 'cache_ext.redis_tls_ca_file' => "$dir/ca.crt" });

$redis->kill_now;
$redis = tls_redis('elsewhere');
refused('certificate of another name', qr/hostname mismatch/i);
$redis->kill_now;
$redis = tls_redis('foreign');
refused('certificate of another authority', qr/self.signed|unable to get local issuer/i);
$redis->kill_now;
$redis = tls_redis('address');
refused('certificate of an address', qr/hostname mismatch/i);
works('address', { 'cache_ext.redis_url' => "rediss://127.0.0.1:$port" });

$redis->kill_now;
$redis = tls_redis('address', 'yes');
refused('client certificate required', qr/certificate required|closed the connection|reset|could not/i);
refused('a key that is not for it', qr/could not load the client certificate/,
	{ 'cache_ext.redis_tls_cert_file' => "$dir/client.crt", 'cache_ext.redis_tls_key_file' => "$dir/ca.key" });
refused('a key with a pass phrase', qr/could not load the client certificate/,
	{ 'cache_ext.redis_tls_key_file' => "$dir/locked.key" });
works('client certificate', { 'cache_ext.redis_tls_key_file' => "$dir/client.key" });

# the plain protocol on one side only
refused('no TLS', qr/protocol error|closed the connection|could not/i, { 'cache_ext.redis_url' => "redis://127.0.0.1:$port" });
my $plain = CextRedis->new('plain', port => 1);
refused('TLS to a plain port', qr/TLS handshake failed|no answer/,
	{ 'cache_ext.redis_url' => 'rediss://127.0.0.1:' . $plain->port, 'cache_ext.redis_connect_timeout' => 1000 });
works('TLS again', { 'cache_ext.redis_url' => "rediss://127.0.0.1:$port", 'cache_ext.redis_connect_timeout' => '60s' });

# a handshake that never ends can be canceled
$redis->kill_now;
$redis = tls_redis('address', 'yes');
$redis->pause;
my $waiting = session($node);
begin_query($waiting, tier(1));
$node->poll_query_until('postgres', q{SELECT wait_event IN ('Extension', 'CacheExtRedis') FROM pg_stat_activity WHERE pid = } . pid_of($waiting))
  or die 'does not wait';
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . pid_of($waiting) . ')');
like(end_query($waiting), qr/canceling statement due to user request/, 'canceled in the handshake');
$redis->continue;
works('after that');

$node->stop;
done_testing();
