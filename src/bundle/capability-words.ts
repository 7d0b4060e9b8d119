import type { PrivilegeWeight } from './privilege.ts'

/** What a capability allows (capabilities(7)), in words that follow its name. One that is not known counts as power. */
export function capabilityWords(name: string): { words: string; weight: PrivilegeWeight } {
  const powerful = powerfulCapabilities[name]
  if (powerful !== undefined) return { words: powerful, weight: 'power' }
  const words = ordinaryCapabilities[name]
  return words === undefined
    ? { words: 'is not known to this version of forerun', weight: 'power' }
    : { words, weight: 'ordinary' }
}

const powerfulCapabilities: Readonly<Record<string, string>> = {
  CAP_AUDIT_CONTROL: 'turns the audit of the kernel on and off',
  CAP_AUDIT_READ: 'reads the audit log of the kernel',
  CAP_BLOCK_SUSPEND: 'keeps the host from sleeping',
  CAP_BPF: 'loads programs into the kernel',
  CAP_CHECKPOINT_RESTORE: 'chooses process ids, and reads what other processes have mapped',
  CAP_DAC_READ_SEARCH: 'reads every file, also of the host by its inode',
  CAP_IPC_OWNER: 'uses shared memory of any user',
  CAP_LINUX_IMMUTABLE: 'changes files that are marked immutable',
  CAP_MAC_ADMIN: 'changes the rules of SELinux and AppArmor',
  CAP_MAC_OVERRIDE: 'is not bound by the rules of security modules',
  CAP_NET_ADMIN: 'changes networks, routes and firewalls',
  CAP_PERFMON: 'watches the kernel and other processes',
  CAP_SYS_ADMIN: 'mounts file systems, and administers nearly everything else',
  CAP_SYS_BOOT: 'reboots the host, and loads another kernel',
  CAP_SYS_MODULE: 'loads modules into the kernel',
  CAP_SYS_NICE: 'takes the processor from other processes',
  CAP_SYS_PACCT: 'turns process accounting on and off',
  CAP_SYS_PTRACE: 'reads and changes other processes',
  CAP_SYS_RAWIO: 'reads and writes ports, memory and disks directly',
  CAP_SYS_RESOURCE: 'exceeds limits and quotas',
  CAP_SYS_TIME: 'sets the clock of the host',
  CAP_SYS_TTY_CONFIG: 'takes terminals from their users',
  CAP_SYSLOG: 'reads and clears the log of the kernel',
  CAP_WAKE_ALARM: 'wakes the host',
}

/** What container engines give, and what reaches no further than that does. */
const ordinaryCapabilities: Readonly<Record<string, string>> = {
  CAP_AUDIT_WRITE: 'writes to the audit log',
  CAP_CHOWN: 'changes owners of files',
  CAP_DAC_OVERRIDE: 'reads and writes files whatever their mode',
  CAP_FOWNER: 'changes modes of files that others own',
  CAP_FSETID: 'keeps set-uid bits of files that it changes',
  CAP_IPC_LOCK: 'locks memory',
  CAP_KILL: 'signals processes of any user',
  CAP_LEASE: 'takes leases on files',
  CAP_MKNOD: 'makes device nodes',
  CAP_NET_BIND_SERVICE: 'listens on ports below 1024',
  CAP_NET_BROADCAST: 'sends to all of a network',
  CAP_NET_RAW: 'sends and reads packets of any protocol',
  CAP_SETFCAP: 'gives capabilities to files',
  CAP_SETGID: 'becomes any group',
  CAP_SETPCAP: 'takes capabilities from itself',
  CAP_SETUID: 'becomes any user',
  CAP_SYS_CHROOT: 'changes its root',
}
