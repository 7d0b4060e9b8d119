import type { Seccomp, SeccompRule } from './runtime-schema.ts'

/**
 * The system calls of a container that asks for nothing: made from the kernel's lists of calls (Linux 6.1 and those that came
 * until 6.18; x86-64 with its 32-bit kinds, arm64 with arm), less
 *
 * - those that need a capability which it has not: they fail with EPERM, as without a profile, and are let through
 *   with that capability;
 * - those that reach what no namespace keeps apart, such as keyrings, and those with a history of faults in the kernel that
 *   few programs need (`userfaultfd`, `vm86`): EPERM;
 * - `io_uring`, and all that is not known here, as what a later kernel brings: ENOSYS, so that programs take another way;
 * - namespaces by `clone`: EPERM. The flags of `clone3` lie in memory, where no filter sees them, so that it is ENOSYS and
 *   the C library takes `clone`;
 * - sockets of AF_VSOCK, which reach the host of a virtual machine: EAFNOSUPPORT. (Those that a 32-bit program asks of
 *   `socketcall` no filter sees.) Unusual personalities: ENOSYS.
 */
export function defaultSeccomp(architecture: string, capabilities: readonly string[]): Seccomp | undefined {
  const architectures = seccompArchitectures[architecture]
  if (architectures === undefined) return undefined
  const grants = Object.entries(privilegedCalls).filter(([capability]) => capabilities.includes(capability))
  const granted = new Set(grants.flatMap(([, calls]) => words(calls)))
  const privileged = new Set(Object.values(privilegedCalls).flatMap(words))
  const refused = [...privileged].filter((call) => !granted.has(call))
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: errno.ENOSYS,
    architectures: [...architectures],
    syscalls: [
      allow([...words(harmlessCalls), ...granted]),
      ...(capabilities.includes('CAP_SYS_ADMIN') ? [allow(['clone', 'clone3'])] : cloneRules),
      { ...allow(['socket']), args: [{ index: 0, value: afVsock, op: 'SCMP_CMP_NE' }] },
      { ...refuse(['socket'], errno.EAFNOSUPPORT), args: [{ index: 0, value: afVsock, op: 'SCMP_CMP_EQ' }] },
      ...personalities.map(
        (value): SeccompRule => ({
          ...allow(['personality']),
          args: [{ index: 0, value, op: 'SCMP_CMP_EQ' }],
        }),
      ),
      refuse([...refused, ...words(refusedCalls)], errno.EPERM),
    ],
  }
}

/** By Go's name of the architecture, as images have it. */
export const seccompArchitectures: Readonly<Record<string, readonly string[]>> = {
  amd64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
}

const errno = { EPERM: 1, ENOSYS: 38, EAFNOSUPPORT: 97 } as const

const afVsock = 40

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET of clone(2); the flags are its first argument. */
const namespaceFlags = [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000]

/** A rule with arguments says nothing of calls with others, so that each flag needs one of its own. */
const cloneRules: readonly SeccompRule[] = [
  {
    ...allow(['clone']),
    args: [
      flagsAre(
        namespaceFlags.reduce((all, flag) => all | flag),
        0,
      ),
    ],
  },
  ...namespaceFlags.map((flag) => ({ ...refuse(['clone'], errno.EPERM), args: [flagsAre(flag, flag)] })),
]

function flagsAre(mask: number, value: number): NonNullable<SeccompRule['args']>[number] {
  return { index: 0, value: mask, valueTwo: value, op: 'SCMP_CMP_MASKED_EQ' }
}

/** Linux and Linux with 32-bit addresses, each also with the release that old programs expect, and the question for it. */
const personalities = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff]

/** capabilities(7); with any one of those that a call stands beside it is let through. */
const privilegedCalls: Readonly<Record<string, string>> = {
  CAP_SYS_ADMIN: `
    bpf fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount nfsservctl
    open_tree open_tree_attr perf_event_open pivot_root quotactl quotactl_fd setdomainname sethostname setns swapoff
    swapon syslog umount umount2 unshare`,
  CAP_BPF: 'bpf',
  CAP_PERFMON: 'perf_event_open',
  CAP_SYS_MODULE: 'create_module delete_module finit_module get_kernel_syms init_module query_module',
  CAP_SYS_BOOT: 'kexec_file_load kexec_load reboot',
  CAP_SYS_RAWIO: 'ioperm iopl',
  CAP_SYS_TIME: 'clock_settime clock_settime64 settimeofday stime',
  CAP_SYS_PTRACE: 'kcmp pidfd_getfd process_madvise',
  CAP_SYS_PACCT: 'acct',
  CAP_SYS_NICE: 'get_mempolicy mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node',
  CAP_SYSLOG: 'syslog',
  CAP_SYS_TTY_CONFIG: 'vhangup',
  CAP_SYS_CHROOT: 'chroot',
  CAP_DAC_READ_SEARCH: 'open_by_handle_at',
}

const refusedCalls = 'add_key keyctl request_key userfaultfd uselib ustat sysfs _sysctl vm86 vm86old'

const harmlessCalls = `
  _llseek _newselect accept accept4 access adjtimex alarm arch_prctl arm_fadvise64_64 arm_sync_file_range bind
  breakpoint brk cacheflush cachestat capget capset chdir chmod chown chown32 clock_adjtime clock_adjtime64
  clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 close
  close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait
  epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64
  fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr
  file_getattr file_setattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat fstatat64 fstatfs
  fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat
  get_robust_list get_thread_area get_tls getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid
  getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid
  getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid
  getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy
  io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill
  landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen
  listmount listxattr listxattrat llistxattr llseek lremovexattr lseek lsetxattr lsm_get_self_attr lsm_list_modules
  lsm_set_self_attr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat
  mknod mknodat mlock mlock2 mlockall mmap mmap2 modify_ldt mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
  mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync
  munlock munlockall munmap name_to_handle_at nanosleep newfstatat nice oldfstat oldlstat oldolduname oldstat olduname
  open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll
  ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6
  pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead readdir readlink readlinkat readv recv recvfrom
  recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2
  restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
  rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
  sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64
  sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop
  semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area
  set_tid_address set_tls setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer
  setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit
  setsid setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaction sigaltstack
  signal signalfd signalfd4 sigpending sigprocmask sigreturn sigsuspend socketcall socketpair splice stat stat64
  statfs statfs64 statmount statx symlink symlinkat sync sync_file_range sync_file_range2 syncfs sysinfo tee tgkill
  time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
  timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64
  ugetrlimit umask uname unlink unlinkat uprobe uretprobe usr26 usr32 utime utimensat utimensat_time64 utimes vfork
  vmsplice wait4 waitid waitpid write writev`

function allow(names: readonly string[]): SeccompRule {
  return { names: [...names], action: 'SCMP_ACT_ALLOW' }
}

function refuse(names: readonly string[], errnoRet: number): SeccompRule {
  return { names: [...names], action: 'SCMP_ACT_ERRNO', errnoRet }
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '')
}
