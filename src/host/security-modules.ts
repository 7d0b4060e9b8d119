import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readWhenPresent } from './read-when-present.ts'

/** Modules of the kernel that label processes or files, as far as they are in force on this host. */
export interface SecurityModules {
  readonly selinux: boolean
  readonly apparmor: boolean
}

/**
 * What OCI runtimes find, too: they refuse a label or a profile that the host knows nothing of. In a host that is a
 * container itself both are off, or shown read-only, although the kernel has them.
 *
 * @param root where the host's /proc and /sys are looked for.
 */
export function securityModules(root = '/'): SecurityModules {
  return { selinux: hasSelinux(root), apparmor: hasApparmor(root) }
}

/** A policy is loaded once processes have another label than the kernel's first. */
function hasSelinux(root: string): boolean {
  const mounts = readFileSync(join(root, 'proc/self/mountinfo'), 'utf8').split('\n')
  const isMounted = mounts.some((line) => {
    const [before = '', after = ''] = line.split(' - ')
    const isWritable = before.split(' ')[5]?.split(',').includes('rw') ?? false
    return after.startsWith('selinuxfs ') && isWritable
  })
  if (!isMounted) return false
  const label = readWhenPresent(join(root, 'proc/self/attr/current')) ?? 'kernel'
  return label.toString().replace(/[\0\n]+$/, '') !== 'kernel'
}

function hasApparmor(root: string): boolean {
  return (
    existsSync(join(root, 'sys/kernel/security/apparmor')) &&
    readWhenPresent(join(root, 'sys/module/apparmor/parameters/enabled'))?.toString()[0] === 'Y'
  )
}
