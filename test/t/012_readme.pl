# Every SQL example of the README runs, in order, and does what it says.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
wait_launcher($node);
my $readme = slurp_file("$FindBin::RealBin/../../README.md");
my @blocks = $readme =~ /^```sql\n(.*?)^```/msg;

cmp_ok(scalar @blocks, '>=', 5, 'the README has examples');
my $n = 0;
for my $block (@blocks)
{
	my ($out, $err);

	$n++;
	my $rc = $node->psql('postgres', $block, stdout => \$out, stderr => \$err,
		on_error_stop => 1);
	is($rc, 0, "example $n runs") or diag($err);
	like($out, qr/"title": "Course 42"/, 'the first one shows the course') if $n == 1;
}

# what the comments in them say
my $get = q{SELECT cached_json('course:42', 'SELECT * FROM courses WHERE id = $1', '5 minutes', 42), (cache_last_status()).status};

like($node->safe_psql('postgres', $get), qr/"price": 99.*miss/, 'the update dropped the key');
like($node->safe_psql('postgres', $get), qr/"price": 99.*hit/, 'and it is cached again');

# the chapters' examples
for my $file (sort glob 'docs/*.md')
{
	my $text = slurp_file($file);
	my $i = 0;

	while ($text =~ /^```sql\n(.*?)^```$/msg)
	{
		my $err;

		$i++;
		is($node->psql('postgres', $1, stdout => \my $out, stderr => \$err, on_error_stop => 1),
			0, "$file: example $i runs") or diag($err);
	}
}

# the reference is what the extension says of itself
$node->safe_psql('postgres', 'CREATE DATABASE reference');
$node->safe_psql('reference', 'CREATE EXTENSION cache_ext');
$node->psql('reference', slurp_file('test/reference.sql'), stdout => \my $reference);
is("$reference\n", slurp_file('docs/reference.md'), 'docs/reference.md is up to date');

# every function, view and setting there is, is in it; and nothing else
my $objects = $node->safe_psql(
	'postgres', q{
	SELECT DISTINCT coalesce(p.proname, c.relname)
	FROM pg_depend d
		LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
		LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
	WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'cache_ext')
		AND coalesce(p.proname, c.relname) IS NOT NULL
		AND coalesce(p.proname, c.relname) NOT IN ('cache_policy_changed', 'cache_policies_list', 'cache_warm_job_changed', 'cache_warm_job_permitted')
	ORDER BY 1});
for my $name (split /\n/, $objects)
{
	like($readme, qr/\b$name\b/, "the README tells of $name");
}
my $settings = $node->safe_psql('postgres',
	q{SELECT name FROM pg_settings WHERE name LIKE 'cache\_ext.%' ORDER BY 1});
for my $name (split /\n/, $settings)
{
	like($readme, qr/`\Q$name\E`/, "the README tells of $name");
}

# and all that it and the chapters name exists: functions and views with their
# columns, and settings
my %known = map { $_ => 1 } split /\n/, "$objects\n$settings\n" . $node->safe_psql(
	'postgres', q{
	SELECT c.relname || '.' || a.attname
	FROM pg_depend d
		JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
		JOIN pg_attribute a ON a.attrelid = c.oid
	WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'cache_ext')});
@known{qw(cache_ext cache_operator cache_top cache_top.sql)} = ();
@known{ map { "cache_ext.$_" } qw(so control key state hot) } = ();
for my $file ('README.md', sort glob 'docs/*.md')
{
	my %said = map { $_ => 1 } slurp_file($file) =~ /\b(cached?_[a-z_]+(?:\.[a-z_]+)?)/g;

	is_deeply([ grep { !exists $known{$_} } sort keys %said ], [], "$file names nothing that does not exist");
}

$node->stop;
done_testing();
