import { extendedAttributes, setExtendedAttribute } from '../host/system-calls.ts'

/**
 * Gives a folder the SELinux label of another, as the root of a checkout has that of `/`: a container enters it under the
 * rules for the root of a host. Nothing where the other has none.
 */
export function copySecurityLabel(from: string, to: string): void {
  const label = extendedAttributes(Buffer.from(from)).get(attribute)
  if (label !== undefined) setExtendedAttribute(Buffer.from(to), Buffer.from(attribute), label)
}

const attribute = 'security.selinux'
