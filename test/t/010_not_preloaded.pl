# Without the library in shared_preload_libraries: one warning a session, right
# answers, no errors; and writers do not notice.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use Test::More;

my $node = new_node('main', conf => "shared_preload_libraries = ''\ncache_ext.memory = 32MB\n");

$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION cache_ext;
	CREATE TABLE item (id integer PRIMARY KEY, v integer);
	INSERT INTO item VALUES (1, 1);
	SELECT cache_attach('item', 'item:{id}', 'g*b:{id}');
});

my ($out, $err);
$node->psql('postgres', join(";\n", cached(1) . ', (cache_last_status()).reason', cached(1),
	q{SELECT * FROM cached_query('k', 'SELECT $1 + 1', 60, 1) AS t(a integer)},
	q{SELECT * FROM cached_rows(NULL::item, 'k', 'SELECT * FROM item', 60)}), stdout => \$out, stderr => \$err);
is($out, "1|bypass|not preloaded\n1|bypass\n2\n1|1", 'computed each time');
my $warnings = () = $err =~ /WARNING:  cache_ext is not loaded/g;
is($warnings, 1, 'one warning in a session');
unlike($err, qr/invalid configuration parameter/, 'and none for what postgresql.conf still says');
like($err, qr/HINT:  Add cache_ext to "shared_preload_libraries"/, 'with a hint');
unlike($err, qr/ERROR/, 'and no error');

# what writes and invalidates has nothing to say
$node->psql(
	'postgres', q{
	UPDATE item SET v = 2;
	BEGIN; UPDATE item SET v = 3; SAVEPOINT a; UPDATE item SET v = 4; ROLLBACK TO a; COMMIT;
	BEGIN; UPDATE item SET v = 5; PREPARE TRANSACTION 'one';
	COMMIT PREPARED 'one';
	SELECT cache_invalidate('item:1'), cache_invalidate('g*:1'), cache_invalidate_table('item'), cache_clear();
	TRUNCATE item;
	INSERT INTO item VALUES (1, 6);
	ALTER TABLE item ADD COLUMN w integer;
	SELECT cache_detach('item');
	}, stdout => \$out, stderr => \$err);
is($err, '', 'no warning from writers');
is($out, "0|0|0|0\n", 'nothing to invalidate') or note $out;

($out, $err) = ('', '');
$node->psql('postgres', cached(1), stdout => \$out, stderr => \$err);
is($out, '6|bypass', 'the rows as they are');

# values have no place to be: absent, and no error
$node->psql('postgres', q{SELECT cache_set('a', '1'); SELECT cache_get('a'), cache_delete('a');},
	stdout => \$out, stderr => \$err);
is($out, "\n|f", 'no values');
unlike($err, qr/ERROR/, 'but no error');

# the views have nothing to show
$node->psql('postgres', q{SELECT entries, memory_used FROM cache_stats; SELECT count(*) FROM cache_entries},
	stdout => \$out, stderr => \$err);
is($out, "0|0\n0", 'views are empty');
unlike($err, qr/ERROR/, 'and no error');

# but health says so
$node->psql('postgres', q{
	SELECT count(*) FROM cache_stats_hourly; SELECT count(*) FROM cache_advice; SELECT cache_stats_reset();
	SELECT status, recommendations FROM cache_health; SELECT cache_report() LIKE '%</html>%'},
	stdout => \$out, stderr => \$err);
is($out, qq{0\n0\n\npoor|{"preload: memory_limit is 0. Nothing is cached: add cache_ext to shared_preload_libraries and restart."}\nt},
	'it is what is recommended');
is($err, '', 'without an error');

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'cache_ext'\n");
$node->restart;
is($node->safe_psql('postgres', 'SELECT status, recommendations FROM cache_health'), 'good|{}', 'until it is done');

$node->stop;
done_testing();
