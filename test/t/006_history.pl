# The history checker: clients read, write, roll back, prepare and invalidate at
# random, and every read through the cache is compared with what the tables held
# before and after it (G1 to G5).  See CextHistory.pm and history.sql.
#
# Then the same against a library that is wrong on purpose, which it must find.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename;
use FindBin;
use lib $FindBin::RealBin;
use CextHistory;
use CextTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
my $seconds = $ENV{CEXT_HISTORY_SECONDS} // 30;

my $node = history_node('main', conf());
my @violations = run_history($node, $seconds, 8);

is(scalar(@violations), 0, 'no violations') or diag(join("\n", @violations[0 .. 9]));
my ($reads, $ratio, $shown) = split /\|/, $node->safe_psql('postgres', q{
	SELECT hits + misses + bypasses > 1000, hit_ratio > 0.3,
		format('%s hits, %s misses, %s bypasses, %s fills discarded, %s invalidations',
			hits, misses, bypasses, fills_discarded, invalidations)
	FROM cache_stats});
note $shown;
is($reads, 't', 'many reads were made');
is($ratio, 't', 'many of them were hits');
is($node->safe_psql('postgres', q{
	SELECT bool_and(cached_v(way, id) = v) FROM item, generate_series(0, 5) way}),
	't', 'the end is right by every way');
my $asserts = $node->safe_psql('postgres', 'SHOW debug_assertions');
$node->stop;

# A build with one line of the protocol broken must be found out.
SKIP:
{
	my $tree = abs_path("$FindBin::RealBin/../..");
	my $patch = "$tree/test/mutants/commit_window.patch";
	chomp(my $libdir = `$pg_config --pkglibdir`);
	my ($inst) = conf() =~ m{^dynamic_library_path *= *'(.+)\Q$libdir\E:}m;

	skip 'no private installation to change', 1 unless defined $inst && -f $patch;
	skip 'assertions stop it before the checker can tell', 1 if $asserts eq 'on';
	my $dir = PostgreSQL::Test::Utils::tempdir;
	my $make = "make -s -C $dir/tree with_llvm=no PG_CONFIG=$pg_config";
	system_or_bail('sh', '-c', qq{
		mkdir $dir/tree $dir/inst &&
		cd '$tree' && cp -rp Makefile cache_ext.control src sql $dir/tree/ &&
		cp -r '$inst/.' $dir/inst/ &&
		cd $dir/tree && patch -s -p1 < '$patch' &&
		env -u MAKEFLAGS -u MAKELEVEL $make all install DESTDIR=$dir/inst > $dir/log 2>&1 ||
		{ cat $dir/log >&2; exit 1; }});
	my $conf = conf();
	$conf =~ s/\Q$inst\E/$dir\/inst/g;
	my $mutant = history_node('mutant', $conf);
	# the slower the machine, the rarer
	@violations = ();
	for (my $run = 0; $run < 20 && !@violations; $run++)
	{
		@violations = run_history($mutant, 8, 8);
	}
	cmp_ok(scalar(@violations), '>', 0, 'the checker finds a library that is wrong');
	note $violations[0];
	$mutant->stop;
}

done_testing();
