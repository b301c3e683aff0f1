# A standby bypasses the cache, unless allow_in_recovery says that a TTL is
# enough; what it has cached then is gone when it is promoted (G7).

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CextTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $primary = new_node('primary', allows_streaming => 1);
setup($primary);
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my $status = cached(1) . ', (cache_last_status()).reason';
my $allowed = 'SET cache_ext.allow_in_recovery = on;';

is($standby->safe_psql('postgres', $status), '1|bypass|recovery', 'bypassed in recovery')
  for 1 .. 2;

is($standby->safe_psql('postgres', "$allowed $status"), '1|miss|', 'allowed: filled');
is($standby->safe_psql('postgres', "$allowed $status"), '1|hit|', 'allowed: a hit');
is($standby->safe_psql('postgres', "$allowed " . cached(2)), '1|miss', 'another one');
is($standby->safe_psql('postgres', $status), '1|bypass|recovery', 'not allowed: bypassed');

# nobody tells a standby what has changed
$primary->safe_psql('postgres', 'UPDATE item SET v = 2 WHERE id = 1');
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', 'SELECT v FROM item WHERE id = 1'), '2', 'replayed');
like($standby->safe_psql('postgres', "$allowed $status"), qr/\|hit\|$/, 'allowed: as old as its TTL');
is($standby->safe_psql('postgres', $status), '2|bypass|recovery', 'not allowed: fresh');

# prepared when the standby has long been in use
$primary->safe_psql('postgres',
	q{BEGIN; UPDATE item SET v = 7 WHERE id = 3; PREPARE TRANSACTION 'three'});
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "$allowed " . cached(3)), '1|miss', 'not committed');

# a fill whose snapshot is one of the standby's, and which ends when it is none
my $filler = session($standby);
my $holder = session($standby);
$filler->query_safe("SET cext_test.pause = 'start'; $allowed");
hold($holder, 'start');
begin_query($filler, cached(4));
wait_paused($standby, $filler, 'start');
$primary->safe_psql('postgres', 'UPDATE item SET v = 4 WHERE id = 4');
$primary->wait_for_catchup($standby);

$primary->stop;
$standby->promote;
release($holder, 'start');
is(end_query($filler), '1|miss', 'promoted in the middle of a fill');
is(read_now($standby, 4), '4|miss', 'promoted: its result is not taken');
is(read_now($standby, 4), '4|hit', 'promoted: another is');
$_->quit for $filler, $holder;
is(read_now($standby, 1), '2|miss', 'promoted: what recovery cached is dead');
is(read_now($standby, 1), '2|hit', 'promoted: and is cached anew');
is(read_now($standby, 2), '1|miss', 'promoted: even if it would be right');
$standby->safe_psql('postgres', 'UPDATE item SET v = 3 WHERE id = 1');
is(read_now($standby, 1), '3|miss', 'promoted: writes invalidate');

is(read_now($standby, 3), '1|miss', 'promoted: a row that is prepared');
is(read_now($standby, 3), '1|hit', 'promoted: is cached');
$standby->safe_psql('postgres', q{COMMIT PREPARED 'three'});
is(read_now($standby, 3), '7|miss', 'promoted: until that is committed');
is(read_now($standby, 3), '7|hit', 'promoted: and after');

$standby->stop;
done_testing();
