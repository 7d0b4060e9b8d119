import { release } from 'node:os'
import { defaultCapabilities } from '../../bundle/default-isolation.ts'
import { defaultSeccomp } from '../../bundle/default-seccomp.ts'
import type { Seccomp } from '../../bundle/runtime-schema.ts'
import { parseSeccompProfile } from '../../bundle/seccomp-profile.ts'
import { readRootOnly } from '../../host/root-only.ts'
import { hostPlatform } from '../../image/platform.ts'

/**
 * The system calls of a container whose image has no configuration: by the profile of this host's container engines where it
 * has one, else by forerun's own.
 *
 * @throws ForerunError `settings` for a profile that is damaged, or that others than root may change.
 */
export function hostSeccomp(): Seccomp | undefined {
  const { architecture } = hostPlatform()
  for (const file of profiles) {
    const text = readRootOnly(file, 'settings')
    if (text === undefined) continue
    const target = { architecture, capabilities: defaultCapabilities, kernel: release() }
    return parseSeccompProfile(text.toString(), file, target)
  }
  return defaultSeccomp(architecture, defaultCapabilities)
}

/** Where the container engines look, the administrator's first. */
const profiles = ['/etc/containers/seccomp.json', '/usr/share/containers/seccomp.json']
