import { readFileSync } from 'node:fs'
import { ForerunError } from '../errors.ts'

/** Number of the last capability that the running kernel knows (capabilities(7)). @throws ForerunError `runtime` without /proc. */
export function lastCapability(file = '/proc/sys/kernel/cap_last_cap'): number {
  try {
    return Number.parseInt(readFileSync(file, 'latin1'), 10)
  } catch (cause) {
    throw new ForerunError('runtime', `The kernel's last capability cannot be read from ${file}`, {
      hint: 'forerun needs /proc to be mounted.',
      cause,
    })
  }
}

/** Names of the capabilities up to a number, in the kernel's order; those newer than this list are left out. */
export function capabilityNames(last: number): string[] {
  return names.slice(0, last + 1).map((name) => `CAP_${name}`)
}

// linux/capability.h: the index is the number.
const names = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
]
