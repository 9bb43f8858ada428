package Bulan::Test::RedisCluster;

# Real redis-servers that form a cluster: three masters, and replicas of the first ones.
#
#     my $cluster = Bulan::Test::RedisCluster->start(replicas => 1);
#     ... $cluster->ports: the masters', then the replicas' ...
#     $cluster->ask(0, 'cluster', 'nodes');               # what redis-cli prints, of node 0
#     $cluster->begin_move($slot, 0, 1);                  # the slot is moving from node 0 to node 1
#     $cluster->end_move($slot, 0, 1);                    # with its keys
#     $cluster->kill(0);
#     $cluster->wait_master(3);                           # until a replica has taken over

use strict;
use warnings;
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process qw(wait_until wait_port);
use Bulan::Test::Server;

my $SLOTS = 16384;

sub start {
    my ($class, %option) = @_;
    my $self = bless { nodes => [] }, $class;
    my $count = 3 + ($option{replicas} || 0);

    $self->start_node for 1 .. $count;
    $self->share_slots;
    $self->meet;
    for my $replica (3 .. $count - 1) {
        my $master = $self->id($replica - 3);
        wait_until(20, sub { $self->ask($replica, 'cluster', 'replicate', $master) =~ /OK/ }) or die "no replica\n";
        wait_until(20, sub { $self->ask($replica, 'info', 'replication') =~ /master_link_status:up/ }) or die "no link\n";
    }
    for my $i (0 .. $count - 1) {
        wait_until(20, sub {
            my $slots = $self->ask($i, 'cluster', 'slots');
            !grep { $slots !~ /^$_$/m } ($self->ports)[3 .. $count - 1];
        }) or die "no replicas\n";
    }
    $self->wait_known($count);
    return $self;
}

sub start_node {
    my ($self) = @_;
    my $node = { port => free_port(), folder => Bulan::Test::Server::new_tree() };
    $node->{bus} = free_port();
    $node->{process} = Bulan::Test::Process->spawn(
        ['redis-server', '--port', $node->{port}, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no',
            '--dir', $node->{folder}, '--cluster-enabled', 'yes', '--cluster-port', $node->{bus},
            '--cluster-node-timeout', 1000, '--cluster-require-full-coverage', 'no',
            '--repl-diskless-sync-delay', 0, '--repl-ping-replica-period', 1],
        stderr => "$node->{folder}/stderr");
    wait_port($node->{port}, 10) or die "redis-server does not start\n";
    push @{ $self->{nodes} }, $node;
}

sub share_slots {
    my ($self) = @_;
    my $part = int($SLOTS / 3);
    for my $i (0 .. 2) {
        my $last = $i == 2 ? $SLOTS - 1 : ($i + 1) * $part - 1;
        $self->ask($i, 'cluster', 'addslotsrange', $i * $part, $last);
        $self->ask($i, 'cluster', 'set-config-epoch', $i + 1);
    }
}

sub meet {
    my ($self) = @_;
    my @nodes = @{ $self->{nodes} };
    $self->ask(0, 'cluster', 'meet', '127.0.0.1', $_->{port}, $_->{bus}) for @nodes[1 .. $#nodes];
    $self->wait_known(scalar @nodes);
}

# Until all nodes know all others, and every slot.
sub wait_known {
    my ($self, $count) = @_;
    for my $i (0 .. $count - 1) {
        wait_until(20, sub {
            my $info = $self->ask($i, 'cluster', 'info');
            $info =~ /cluster_state:ok/ && $info =~ /cluster_known_nodes:$count\b/ && $info =~ /cluster_slots_ok:$SLOTS/
                && $self->ask($i, 'cluster', 'nodes') !~ /handshake/;
        }) or die "the cluster does not form: " . $self->ask($i, 'cluster', 'info');
    }
}

sub ports { map { $_->{port} } @{ $_[0]{nodes} } }
sub id    { my ($self, $i) = @_; chomp(my $id = $self->ask($i, 'cluster', 'myid')); return $id }

sub ask {
    my ($self, $i, @command) = @_;
    open my $out, '-|', 'redis-cli', '-p', $self->{nodes}[$i]{port}, @command or die "redis-cli: $!";
    local $/;
    return scalar <$out>;
}

sub begin_move {
    my ($self, $slot, $from, $to) = @_;
    $self->ask($to, 'cluster', 'setslot', $slot, 'importing', $self->id($from));
    $self->ask($from, 'cluster', 'setslot', $slot, 'migrating', $self->id($to));
}

sub move_keys {
    my ($self, $slot, $from, $to) = @_;
    my $port = $self->{nodes}[$to]{port};
    while (my @keys = split /\n/, $self->ask($from, 'cluster', 'getkeysinslot', $slot, 100)) {
        $self->ask($from, 'migrate', '127.0.0.1', $port, '', 0, 5000, 'KEYS', @keys);
    }
}

sub end_move {
    my ($self, $slot, $from, $to) = @_;
    $self->move_keys($slot, $from, $to);
    my $id = $self->id($to);
    $self->ask($_, 'cluster', 'setslot', $slot, 'node', $id) for $to, $from, grep { $_ != $from && $_ != $to } 0 .. 2;
}

sub kill { my ($self, $i) = @_; (delete $self->{nodes}[$i]{process})->finish('KILL') }

sub wait_master {
    my ($self, $i) = @_;
    return wait_until(20, sub {
        $self->ask($i, 'role') =~ /^master/ && $self->ask($i, 'cluster', 'info') =~ /cluster_state:ok/;
    });
}

1;
