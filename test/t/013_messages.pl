# COMMIT PREPARED makes rows visible before it sends its catalog invalidations.
# A session that has not got them may still read with old catalogs, so what it
# reads in between must not stay (G8).

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use Test::More;

my $node = new_node('main');
setup($node);
$node->safe_psql(
	'postgres', q{
	CREATE ROLE readers;
	CREATE ROLE reader IN ROLE readers;
	CREATE TABLE secret (v integer);
	INSERT INTO secret VALUES (42);
	GRANT SELECT ON secret TO readers;
	CREATE FUNCTION f() RETURNS integer STABLE LANGUAGE sql AS 'SELECT 1';});

my $get_secret = q{SELECT cached_json('secret', 'SELECT v FROM secret', 600)->0->>'v', (cache_last_status()).status};
my $get_f = q{SELECT cached_json('f', 'SELECT f() AS v', 600)->0->>'v', (cache_last_status()).status};

# nobody can connect while the point is held
my $holder = session($node);
my $committer = session($node);
my $reader = session($node);
my $other = session($node);
$reader->query_safe('SET ROLE reader');
is($reader->query_safe('SELECT v FROM secret'), '42', 'the role may read');
is($reader->query_safe($get_f), '1|miss', 'a function of before');
is($reader->query_safe($get_f), '1|hit', 'is cached');

# the second GRANT changes the entry of pg_class in pg_class
$committer->query_safe(
	q{BEGIN;
	REVOKE SELECT ON secret FROM readers;
	CREATE OR REPLACE FUNCTION f() RETURNS integer STABLE LANGUAGE sql AS 'SELECT 2';
	GRANT INSERT ON pg_class TO readers;
	PREPARE TRANSACTION 'revoked'});
hold($holder, 'messages');
begin_query($committer, q{COMMIT PREPARED 'revoked'});
for my $try (1 .. 1000)
{
	last if $holder->query_safe(
		"SELECT wait_event = 'RelCacheInit' FROM pg_stat_activity WHERE pid = " . pid_of($committer)) eq 't';
	die 'COMMIT PREPARED did not stop' if $try == 1000;
	select(undef, undef, undef, 0.1);
}
is($other->query_safe(q{SELECT relacl::text LIKE '%readers=%' FROM pg_class WHERE relname = 'secret'}),
	'f', 'the new catalogs can be seen');
is($reader->query_safe($get_secret), '42|miss', 'who has no message reads with the old catalogs');
is($reader->query_safe($get_secret), '42|miss', 'which is not stored');
like($reader->query_safe($get_f), qr/\|miss$/, 'what was cached before is not used');
release($holder, 'messages');
is(end_query($committer), '', 'committed');

begin_query($reader, $get_secret);
like(end_query($reader), qr/permission denied for table secret/, 'afterwards the revoked role gets nothing');
is($reader->query_safe($get_f), '2|miss', 'and the new function runs');
is($reader->query_safe($get_f), '2|hit', 'whose result is cached');

$_->quit for $reader, $other, $committer, $holder;
$node->stop;
done_testing();
