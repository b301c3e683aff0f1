# Dump and restore: policies, triggers and their state survive, built-in
# policies are not doubled, and what is restored works.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
setup($node);
$node->safe_psql(
	'postgres', q{
	CREATE SCHEMA app;
	CREATE TABLE app."Odd name" (id integer PRIMARY KEY, "a col" text);
	INSERT INTO app."Odd name" VALUES (1, 'x');
	SELECT cache_attach('app."Odd name"', 'odd:{id}', 'it''s:{a col}:*');
	CREATE TABLE part (id integer, v integer) PARTITION BY RANGE (id);
	CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10);
	INSERT INTO part VALUES (1, 1);
	SELECT cache_attach('part');
	INSERT INTO cache_policy (name, key_pattern, ttl) VALUES ('mine', 'm:*', '7 min'), ('short', NULL, '1 s');
});

# What there is of ours: policies, and triggers with their arguments and state.
sub state_of
{
	my ($db) = @_;

	return $node->safe_psql(
		$db, q{
		SELECT * FROM cache_policies ORDER BY name;
		SELECT tgrelid::regclass, tgname, tgenabled, tgparentid <> 0, pg_get_triggerdef(oid)
		FROM pg_trigger WHERE tgname ~ '^cache_ext' ORDER BY tgrelid::regclass::text, tgname;
	});
}

my $before = state_of('postgres');
like($before, qr/cache_ext_row\|R\|/, 'a trigger for replicas is among them');
like($before, qr/cache_ext_truncate\|A\|/, 'and one that always fires');

my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('restored') ], 'restore');
is(state_of('restored'), $before, 'restored as it was');

# a second dump is the same as the first
my $again = $node->basedir . '/again.sql';
$node->command_ok([ 'pg_dump', '-f', $again, $node->connstr('restored') ], 'pg_dump of the restored');
my ($x, $y) = map { join '', grep { !/^\\(un)?restrict / } split /^/, slurp_file($_) } $dump, $again;
is($y, $x, 'dumps are the same');

sub get
{
	my ($key, $query) = @_;

	return $node->safe_psql('restored',
		"SELECT cached_json('$key', '$query', NULL::float8)->0->>'x', (cache_last_status()).status");
}

my @odd = ('odd:1', 'SELECT "a col" AS x FROM app."Odd name" WHERE id = 1');
my @part = ('p', 'SELECT sum(v) AS x FROM part');
is(get(@$_), ($_ == \@odd ? 'x' : '1') . '|miss', 'filled') for \@odd, \@part;
is(get(@$_), ($_ == \@odd ? 'x' : '1') . '|hit', 'cached') for \@odd, \@part;
$node->safe_psql('restored', q{UPDATE app."Odd name" SET "a col" = 'y'; UPDATE part1 SET v = 2});
is(get(@odd), 'y|miss', 'invalidated by a restored trigger');
is(get(@part), '2|miss', 'invalidated by that of a partition');
get('m:1', 'SELECT 1 AS x');
is( $node->safe_psql('restored', q{SELECT expires - created FROM cache_entries WHERE key = 'm:1'}),
	'00:07:00', 'a restored policy is in force');
is($node->safe_psql('postgres', q{SELECT count(*) FROM cache_entries}), '0',
	'another database has nothing of all this');

$node->stop;
done_testing();
