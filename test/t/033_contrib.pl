# Every query in contrib runs, as a role that may only monitor, and fits what
# is said about it there.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $contrib = "$FindBin::RealBin/../../contrib";
my $node = new_node('main');
setup($node);
$node->safe_psql('postgres', q{CREATE ROLE watcher LOGIN IN ROLE pg_monitor});
read_now($node, 1) for 1 .. 3;
read_now($node, 2, "odd\nkey");
$node->safe_psql('postgres', q{SELECT cached_json('b', 'SELECT random()', 60)});

# names of the columns that a query returns, and the number of rows
sub run
{
	my ($sql, $name) = @_;
	my ($out, $err);

	$sql =~ s/;?\s*$//;
	my $rc = $node->psql('postgres', "SET ROLE watcher;\n$sql", stdout => \$out, stderr => \$err,
		on_error_stop => 1, extra_params => [ '--no-psqlrc', '-P', 'tuples_only=off', '-P', 'footer=off', '-A', '-F', '|' ]);
	is($rc, 0, "$name runs") or diag($err);
	my ($head, @rows) = split /\n/, $out;
	return ([ split /\|/, $head // '' ], scalar @rows);
}

# the queries of a YAML file: blocks under "query: |" after a line with their name
sub queries
{
	my ($file, $name_re) = @_;
	my (@found, $name, $indent);

	for my $line (split /\n/, slurp_file($file))
	{
		if (defined $indent && $line =~ /^ {$indent}(.*)/) { $found[-1]{sql} .= "$1\n"; next; }
		undef $indent;
		$name = $1 if $line =~ $name_re;
		if ($line =~ /^( *)query: \|$/)
		{
			$indent = length($1) + 2;
			push @found, { name => $name, sql => '' };
		}
	}
	return @found;
}

# postgres_exporter: each column is a metric or a label, and the reverse
my $yaml = slurp_file("$contrib/prometheus/queries.yml");
my @q = queries("$contrib/prometheus/queries.yml", qr/^(\w+):$/);
is(scalar @q, 4, 'there are queries for postgres_exporter');
for my $q (@q)
{
	my ($section) = $yaml =~ /^\Q$q->{name}\E:\n((?: .*\n)*)/m;
	my @metrics = $section =~ /^    - (\w+):$/mg;
	my ($columns, $rows) = run($q->{sql}, "postgres_exporter's $q->{name}");
	is_deeply([ sort @$columns ], [ sort @metrics ], 'its columns are its metrics');
	cmp_ok($rows, '>=', 1, 'and it has rows');
}

# sql_exporter
$yaml = slurp_file("$contrib/prometheus/cache_ext.collector.yml");
@q = queries("$contrib/prometheus/cache_ext.collector.yml", qr/^  - query_name: (\w+)$/);
is(scalar @q, 4, 'there are queries for sql_exporter');
my %columns;
for my $q (@q)
{
	($columns{ $q->{name} }) = run($q->{sql}, "sql_exporter's $q->{name}");
}
for my $metric ($yaml =~ /^(  - metric_name: .*\n(?:    .*\n)*)/mg)
{
	my ($name) = $metric =~ /metric_name: (\w+)/;
	my ($ref) = $metric =~ /query_ref: (\w+)/;
	my @used = map { split /, */ } $metric =~ /(?:values|key_labels): \[(.*)\]/g;
	my %there = map { $_ => 1 } @{ $columns{$ref} };
	is_deeply([ grep { !$there{$_} } @used ], [], "$name has its columns");
}

# Grafana
my $dashboard = decode_json(slurp_file("$contrib/grafana/cache_ext.json"));
cmp_ok(scalar @{ $dashboard->{panels} }, '>=', 10, 'there are panels');
my %ids;
for my $panel (@{ $dashboard->{panels} })
{
	ok(!$ids{ $panel->{id} }++, "panel $panel->{id} has a number of its own");
	for my $target (@{ $panel->{targets} })
	{
		my ($columns) = run($target->{rawSql}, "panel $panel->{title}");
		is($columns->[0], 'time', 'its first column is the time') if $panel->{type} eq 'timeseries';
		cmp_ok(scalar @$columns, '>=', $panel->{type} eq 'timeseries' ? 2 : 1, 'it has figures');
	}
}

# psql: until it has shown rates, which take two rounds
my ($in, $out, $err) = ('', '', '');
my $psql = IPC::Run::start(
	[ 'psql', '--no-psqlrc', '-q', '-d', $node->connstr('postgres'), '-c', 'SET ROLE watcher', '-f', "$contrib/cache_top.sql" ],
	'<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
$psql->pump until $out =~ /a second: [\d.]+ hits.*\n/ || !$psql->pumpable;
like($out, qr/^GOOD, .* a second: - hits/m, 'cache_top.sql shows health');
like($out, qr/^GOOD, .* a second: 0\.0 hits, 0\.0 misses/m, 'and rates');
like($out, qr/^item:1 +2 /m, 'and keys');
like($out, qr/^odd\?key /m, 'each in its line');
is($err, '', 'without a complaint');
$psql->kill_kill;

$node->stop;
done_testing();
