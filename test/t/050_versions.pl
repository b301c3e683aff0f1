# Versions of the SQL scripts, and of the library beside them: every way to
# update leads to what a fresh installation has, a symbol keeps its signature,
# and where library and scripts are out of step, an error says so.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A private copy of what is installed, made of links because the server takes two
# paths for two libraries, with scripts for versions to come.
my $conf = CextTest::conf();
my ($inst) = $conf =~ m{^dynamic_library_path = '(/.*?/inst)/}m
  or plan skip_all => 'the extension is not installed by test/check';
my $copy = PostgreSQL::Test::Utils::tempdir() . '/inst';

system_or_bail('cp', '-as', $inst, $copy);
chomp(my $control = `find $copy -name cache_ext.control`);
my $dir = $control =~ s{/cache_ext\.control$}{}r;
my ($current) = slurp_file($control) =~ /^default_version = '(.*)'/m;

sub script
{
	my ($version, $sql) = @_;

	append_to_file("$dir/cache_ext--$current--$version.sql",
		qq{\\echo Use "ALTER EXTENSION cache_ext UPDATE" to load this file. \\quit\n$sql\n});
	return;
}

# what an update may do
script(
	'next', q{
	ALTER TABLE cache_policy ADD COLUMN note text DEFAULT 'none';
	CREATE FUNCTION cache_next(OUT a integer) LANGUAGE sql RETURN 1;
	COMMENT ON FUNCTION cache_next() IS 'a function of the next version';
	REVOKE ALL ON FUNCTION cache_next() FROM PUBLIC;
	CREATE VIEW cache_next_view AS SELECT note FROM cache_policy;
});
# one that needs a newer library
script(
	'newer', q{
	CREATE TABLE cache_newer ();
	CREATE FUNCTION cache_newer() RETURNS integer AS 'MODULE_PATHNAME', 'cache_stats_9_9' LANGUAGE C;
});

$conf =~ s/\Q$inst\E/$copy/g;
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', $conf);
$node->start;

sub sql
{
	my ($db, $sql) = @_;

	return $node->safe_psql($db, $sql);
}

my $n = 0;

# A database with the extension in some version.
sub database
{
	my ($version) = @_;
	my $db = 'd' . ++$n;

	sql('postgres', "CREATE DATABASE $db");
	sql($db, qq{CREATE EXTENSION cache_ext VERSION "$version"});
	return $db;
}

# All that makes up the extension's objects, but for OIDs and the version.
sub catalogs
{
	my ($db) = @_;

	return sql(
		$db, q{
		CREATE TEMP VIEW member AS
			SELECT classid, objid FROM pg_depend
			WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
				AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'cache_ext');
		SELECT 'object', i.type, i.identity, obj_description(objid, classid::regclass::name)
		FROM member, pg_identify_object(classid, objid, 0) i ORDER BY 2, 3;
		SELECT 'function', pg_get_functiondef(p.oid), proowner::regrole,
			(SELECT array_agg(a::text ORDER BY a::text) FROM unnest(proacl) a)
		FROM pg_proc p JOIN member ON classid = 'pg_proc'::regclass AND objid = p.oid ORDER BY 2;
		SELECT 'relation', c.oid::regclass, relkind, relpersistence, reloptions, relrowsecurity,
			CASE WHEN relkind = 'v' THEN pg_get_viewdef(c.oid) END,
			(SELECT array_agg(a::text ORDER BY a::text) FROM unnest(relacl) a)
		FROM pg_class c JOIN member ON classid = 'pg_class'::regclass AND objid = c.oid ORDER BY 2::text;
		SELECT 'column', attrelid::regclass, attnum, attname, format_type(atttypid, atttypmod), attnotnull,
			attisdropped, attacl, col_description(attrelid, attnum), pg_get_expr(adbin, adrelid)
		FROM pg_attribute JOIN member ON classid = 'pg_class'::regclass AND objid = attrelid
			LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
		WHERE attnum > 0 ORDER BY 2::text, 3;
		SELECT 'constraint', conrelid::regclass, conname, pg_get_constraintdef(c.oid), convalidated
		FROM pg_constraint c JOIN member ON classid = 'pg_class'::regclass AND objid = conrelid ORDER BY 2::text, 3;
		SELECT 'index', indrelid::regclass, pg_get_indexdef(indexrelid)
		FROM pg_index JOIN member ON classid = 'pg_class'::regclass AND objid = indrelid ORDER BY 2::text, 3;
		SELECT 'trigger', tgrelid::regclass, tgname, tgenabled, pg_get_triggerdef(t.oid)
		FROM pg_trigger t JOIN member ON classid = 'pg_class'::regclass AND objid = tgrelid
		WHERE NOT tgisinternal ORDER BY 2::text, 3;
		SELECT 'policy', polrelid::regclass, polname, polcmd, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)
		FROM pg_policy p JOIN member ON classid = 'pg_class'::regclass AND objid = polrelid ORDER BY 2::text, 3;
		SELECT 'dumped', c::regclass, w
		FROM pg_extension, unnest(extconfig, extcondition) AS x(c, w) WHERE extname = 'cache_ext' ORDER BY 2::text;
	});
}

# Does the cache work, with a policy from before?
sub works
{
	my ($db) = @_;

	return sql(
		$db, q{
		SELECT cached_json('m:1', 'SELECT v FROM item', NULL::float8) \gset
		SELECT cached_json('m:1', 'SELECT v FROM item', NULL::float8) \gset
		SELECT status, ttl_left > '6 min' FROM cache_last_status();
		UPDATE item SET v = v + 1;
		SELECT cached_json('m:1', 'SELECT v FROM item', NULL::float8) \gset
		SELECT status FROM cache_last_status();});
}

#
# One base script; every path ends where a fresh installation is.
#
my @base = grep { !/--.*--/ } map { s{.*/}{}r } glob("$dir/cache_ext--*.sql");
is_deeply(\@base, ['cache_ext--1.0.sql'], 'there is one base script, the first version\'s');

my @paths = map { [ split /\|/ ] } split /\n/, sql('postgres',
	q{SELECT source, target FROM pg_extension_update_paths('cache_ext')
		WHERE path IS NOT NULL AND 'newer' NOT IN (source, target) ORDER BY 1, 2});
cmp_ok(scalar @paths, '>=', 1, 'there are paths to walk');
ok((grep { $_->[0] eq '1.0' && $_->[1] eq $current } @paths) || $current eq '1.0',
	'one leads from the first version to the current');

my %fresh;
for my $path (@paths)
{
	my ($source, $target) = @$path;
	my $db = database($source);

	$fresh{$source} //= catalogs($db);
	$fresh{$target} //= catalogs(database($target));
	sql(
		$db, q{
		CREATE TABLE item (id integer PRIMARY KEY, v integer);
		INSERT INTO item VALUES (1, 1);
		INSERT INTO cache_policy (name, key_pattern, ttl) VALUES ('mine', 'm:*', '7 min');
		SELECT cache_attach('item', 'm:{id}')});
	sql($db, qq{ALTER EXTENSION cache_ext UPDATE TO "$target"});
	is(catalogs($db), $fresh{$target}, "$source to $target: as a fresh installation");
	is(works($db), "hit|t\nmiss", "$source to $target: it works");
}
isnt($fresh{next}, $fresh{$current}, 'a difference would be seen');

#
# A symbol keeps its signature: what differs gets a new one.
#
my %signature;
for my $version (sort keys %fresh)
{
	my $db = database($version);

	for my $row (
		split /\n/,
		sql($db,
			q{SELECT prosrc || '|' || array_agg(concat_ws(' ', proretset, prorettype::regtype, proargtypes::regtype[],
					proallargtypes::regtype[], proargmodes) ORDER BY proargtypes::regtype[]::text)::text
			FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e'
			WHERE prolang = (SELECT oid FROM pg_language WHERE lanname = 'c')
				AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'cache_ext')
			GROUP BY prosrc}))
	{
		my ($symbol, $types) = split /\|/, $row, 2;

		$signature{$symbol}{$types} = $version;
	}
}
cmp_ok(scalar keys %signature, '>', 10, 'there are symbols');
is_deeply([ grep { keys %{ $signature{$_} } > 1 } sort keys %signature ],
	[], 'none has two signatures in two versions');

#
# Scripts that are newer than the library: nothing changes.
#
my $db = database($current);
my ($rc, $out, $err) = $node->psql($db, 'ALTER EXTENSION cache_ext UPDATE TO newer');
isnt($rc, 0, 'scripts that need a newer library are refused');
like($err, qr/could not find function "cache_stats_9_9" in file/, 'with an error that names what is missing');
is(sql($db, q{SELECT extversion, to_regclass('cache_newer') IS NULL FROM pg_extension WHERE extname = 'cache_ext'}),
	"$current|t", 'and without effect');

#
# Functions that have more, or fewer, columns than the library knows of.
#
my @composite = split /\n/, sql($db, q{
	SELECT DISTINCT ON (prosrc) p.oid FROM pg_proc p
		JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e'
	WHERE prolang = (SELECT oid FROM pg_language WHERE lanname = 'c') AND 'o' = ANY (proargmodes)
		AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'cache_ext')
		AND cardinality(array_positions(proargmodes, 'o')) > 1
	ORDER BY prosrc, pronargs});
cmp_ok(scalar @composite, '>=', 5, 'there are functions that return rows');
for my $oid (@composite)
{
	my $def = sql($db, "SELECT pg_get_functiondef($oid)");
	my ($name) = $def =~ /FUNCTION public\.(\w+)\(/;
	my $args = sql($db,
		"SELECT string_agg(CASE t WHEN 'text'::regtype THEN '''SELECT 1''' WHEN 'text[]'::regtype THEN '''{}''' ELSE 'NULL' END || '::' || format_type(t, NULL), ', ' ORDER BY n) FROM pg_proc, unnest(proargtypes) WITH ORDINALITY x(t, n) WHERE pg_proc.oid = $oid");
	my %changed;

	# the last column is before the parenthesis that ends the line
	($changed{wider} = $def) =~ s/\)\n RETURNS/, OUT added text)\n RETURNS/;
	# a function with one column returns no rows
	(() = $def =~ /\bOUT /g) > 2 and ($changed{narrower} = $def) =~ s/, OUT [^,\n]*\)\n RETURNS/)\n RETURNS/;
	for my $how (sort keys %changed)
	{
		isnt($changed{$how}, $def, "$name: made $how");
		$changed{$how} =~ s/FUNCTION public\.\w+\(/FUNCTION public.changed(/;
		sql($db, $changed{$how});
		($rc, $out, $err) = $node->psql($db, "SELECT * FROM changed($args)");
		isnt($rc, 0, "$name, $how, is refused");
		like($err, qr/library and the SQL objects of cache_ext are of different versions/,
			"$name, $how: the error says why");
		like($err, qr/HINT: .*ALTER EXTENSION cache_ext UPDATE/, "$name, $how: and what to do");
		sql($db, 'DROP FUNCTION changed');
	}
}
unlike(slurp_file($node->logfile), qr/terminated by signal/, 'nothing crashed');

$node->stop;
done_testing();
