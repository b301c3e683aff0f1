# A short run of test/fuzz: mutated entries from Redis through the decoder, under
# sanitizers.

use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

my $iterations = $ENV{CEXT_FUZZ} // 50_000;
my $cc = $ENV{CC} // 'gcc';
my $dir = PostgreSQL::Test::Utils::tempdir();

append_to_file("$dir/probe.c", "int main(void) { return 0; }\n");
plan skip_all => 'no compiler with sanitizers here'
  if system("$cc -fsanitize=address,undefined -o $dir/probe $dir/probe.c >/dev/null 2>&1 && $dir/probe") != 0;

local $ENV{FUZZ_DIR} = $dir;
my ($out, $err);
my $ok = IPC::Run::run([ "$FindBin::RealBin/../fuzz/run", $iterations ], '>', \$out, '2>', \$err);

ok($ok, 'no crash, nothing read out of bounds, nothing forged accepted') or diag($err);
note $out;
like($out, qr/^unsigned: [1-9]\d+ refused/m, 'many were refused');
like($out, qr/^signed: [1-9]\d+ refused, [1-9]\d* of other identity, [1-9]\d* accepted/m, 'and many got far');

done_testing();
