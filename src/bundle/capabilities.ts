import { readFileSync } from 'node:fs'
import { ForerunError } from '../errors.ts'

/**
 * Names of the capabilities that a service of this host can have, in the kernel's order: those of PID 1's bounding set
 * (capabilities(7)). On a host that is a container these are fewer than the kernel knows.
 *
 * @throws ForerunError `runtime` without /proc.
 */
export function grantableCapabilities(file = '/proc/1/status'): string[] {
  const bounding = BigInt(`0x${boundingSet(file)}`)
  return allCapabilities.filter((_name, number) => (bounding >> BigInt(number)) & 1n)
}

function boundingSet(file: string): string {
  try {
    const [, digits] = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync(file, 'latin1')) ?? []
    if (digits !== undefined) return digits
  } catch (cause) {
    throw unknown(file, cause)
  }
  throw unknown(file)
}

function unknown(file: string, cause?: unknown): ForerunError {
  return new ForerunError('runtime', `The capabilities of PID 1 cannot be read from ${file}`, {
    hint: 'forerun needs /proc to be mounted.',
    cause,
  })
}

/** Of linux/capability.h: the index is the number. A kernel may know of more. */
export const allCapabilities: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_MKNOD',
  'CAP_LEASE',
  'CAP_AUDIT_WRITE',
  'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
]
