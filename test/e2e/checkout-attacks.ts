/**
 * A Perl program for the inside of a container: tries to change the file that it is given, in all ways that a process
 * has, and prints as JSON what came of each. Without a module, as Debian's smallest systems have it.
 */
export const attacks = String.raw`
use strict;
my ($file) = @ARGV;
my $machine = qx(uname -m) =~ /aarch64/ ? 'arm' : 'x86';
my %call = $machine eq 'arm'
  ? (setxattr => 5, fsetxattr => 7, mount => 40, unshare => 97, fallocate => 47,
     name_to_handle_at => 264, open_by_handle_at => 265, setns => 268, mount_setattr => 442)
  : (setxattr => 188, fsetxattr => 190, mount => 165, unshare => 272, fallocate => 285,
     name_to_handle_at => 303, open_by_handle_at => 304, setns => 308, mount_setattr => 442);
my ($NS, $USER) = (0x00020000, 0x10000000);
my ($RDONLY, $REMOUNT, $BIND) = (1, 32, 4096);
sub call { my $name = shift; my $result = syscall($call{$name}, @_); return $result >= 0 ? ($result || 1) : 0 }
sub writable { my ($path) = @_; open(my $h, '>>', $path) or return 0; print $h 'x'; return close $h }
sub remounted { return call('mount', my $n = 'none', my $p = '/', my $t = '', $REMOUNT | $BIND, 0) && writable($file) }

open(my $read, '<', $file) or die "$file: $!";
my $self = '/proc/self/fd/' . fileno($read);
my ($value, $flags) = ('x', pack('L', 0x10));

my @attacks = (
  append => sub { writable($file) },
  'read and write' => sub { open(my $h, '+<', $file) },
  truncate => sub { truncate($file, 0) },
  'truncate when open' => sub { truncate($read, 0) },
  'link beside it' => sub { link $file, "$file.2" },
  'link in memory' => sub { link $file, '/tmp/link' },
  chmod => sub { chmod 0777, $file },
  'chmod when open' => sub { chmod 0777, $read },
  chown => sub { chown 1, 1, $file },
  'chown when open' => sub { chown 1, 1, $read },
  utime => sub { utime 1, 1, $file },
  'utime when open' => sub { utime 1, 1, $read },
  'chmod by /proc' => sub { chmod 0777, $self },
  'write by /proc' => sub { writable($self) },
  'write by the root of /proc' => sub { writable("/proc/self/root$file") },
  'write by the root of process 1' => sub { writable("/proc/1/root$file") },
  'truncate by /proc' => sub { truncate($self, 0) },
  (map { my $name = $_; "set $name" => sub { call('setxattr', my $f = $file, my $n = $name, $value, 1, 0) } }
    qw(user.x trusted.x security.x)),
  'set a capability' => sub { my $v = pack('V5', 0x02000001, 1, 0, 0, 0); call('setxattr', my $f = $file, my $n = 'security.capability', $v, 20, 0) },
  'set user.x when open' => sub { call('fsetxattr', fileno($read), my $n = 'user.x', $value, 1, 0) },
  'set a generation' => sub { ioctl($read, 0x40087602, $flags) },
  'punch a hole' => sub { call('fallocate', fileno($read), 3, 0, 4) },
  'make a file beside it' => sub { open(my $h, '>', "$file.2") },
  'mount the root anew' => sub { remounted() },
  'set the attributes of the mount' => sub {
    call('mount_setattr', -100, my $p = '/', 0, my $a = pack('Q4', 0, $RDONLY, 0, 0), 32) && writable($file) },
  'mount anew in user and mount namespaces' => sub { call('unshare', $USER | $NS) && remounted() },
  'bind and mount anew in namespaces of its own' => sub {
    call('unshare', $USER | $NS) or return 0;
    call('mount', my $s = '/', my $p = '/tmp', my $t = '', $BIND, 0) or return 0;
    call('mount', my $n = 'none', my $q = '/tmp', my $u = '', $REMOUNT | $BIND, 0) or return 0;
    writable("/tmp$file") },
  'enter the namespace of process 1' => sub {
    open(my $h, '<', '/proc/1/ns/mnt') or return 0;
    call('setns', fileno($h), $NS) && remounted() },
  'leave by chroot' => sub {
    mkdir '/tmp/jail'; chroot '/tmp/jail' or return 0;
    chdir '..' for 1 .. 50; chroot '.'; -d '/var/lib/forerun' && writable($file) },
  'open by handle' => sub {
    my $handle = pack('Ll', 120, 0) . "\0" x 120; my $id = pack('l', 0);
    call('name_to_handle_at', -100, my $f = $file, $handle, $id, 0) or return 0;
    my $fd = syscall($call{open_by_handle_at}, fileno($read), $handle, 1);
    return 0 if $fd < 0; open(my $h, '>>&=', $fd) or return 0; print $h 'x'; close $h },
  # These spoil it for others.
  rename => sub { rename $file, "$file.2" },
  unlink => sub { unlink $file },
  'set immutable' => sub { ioctl($read, 0x40086602, $flags) },
);

my @told;
while (my ($name, $attack) = splice @attacks, 0, 2) {
  # In a process of its own, since some leave it elsewhere.
  my $pid = fork();
  if (!$pid) { $! = 0; my $done = eval { $attack->() }; exit($done ? 0 : 1 + ($! & 63)) }
  waitpid $pid, 0;
  my $status = $? >> 8;
  local $! = $status - 1;
  push @told, sprintf '"%s":"%s"', $name, $status == 0 ? 'done' : "$!";
}
print '{', join(',', @told), '}';
`
