import { join } from 'node:path'
import { mountUnitTemplate } from '../../templates/mount-unit.template.ts'
import { ForerunError } from '../errors.ts'
import { type OverlayKind, overlayOptions } from '../host/overlay.ts'
import { parseTemplate, renderLineTemplate } from './template.ts'
import { unitPath } from './unit-word.ts'

/** The unit that mounts the root of a container, where that is an overlay. */
export interface MountUnit {
  /** `var-lib-…-NAME.0-rootfs.mount`. */
  readonly name: string
  readonly text: string
  readonly kind: OverlayKind
  /** Whether an update takes along what was written. */
  readonly keepChanges: boolean
}

/**
 * @param deployment.destination the deployment's directory; a path of the host.
 * @throws ForerunError `checkout` for a path that no mount unit, or no overlay's option, can hold.
 */
export function renderMountUnit(
  deployment: { name: string; destination: string },
  options: { kind: OverlayKind; keepChanges: boolean },
): MountUnit {
  const { name, destination } = deployment
  refuseUnsuitable(destination)
  const where = join(destination, 'rootfs')
  const values = new Map([
    ['NAME', name],
    ['FOLDER', unitPath(destination)],
    ['WHERE', doubled(where)],
    ['OPTIONS', doubled(overlayOptions(destination, options.kind))],
  ])
  const text = renderLineTemplate(parseTemplate(mountUnitTemplate, 'mount-unit.template'), values)
  return { name: mountUnitName(where), text, ...options }
}

/**
 * The name that systemd wants for the unit of a mount (systemd.unit(5), "String Escaping for Inclusion in Unit Names").
 *
 * @param path absolute.
 * @throws ForerunError `checkout` when it is longer than the name of a unit may be.
 */
export function mountUnitName(path: string): string {
  const parts = path.split('/').filter((part) => part !== '')
  const bytes = [...Buffer.from(parts.join('/'))]
  const name = bytes.map((byte, index) => escaped(String.fromCharCode(byte), index)).join('') || '-'
  if (name.length + '.mount'.length <= 255) return `${name}.mount`
  throw new ForerunError('checkout', `the mount of '${path}' has no unit: its name would be too long for systemd`, {
    hint: "Choose a shorter name with --name; systemd writes four characters for a '-' in it.",
  })
}

function escaped(character: string, index: number): string {
  if (character === '/') return '-'
  if (/[a-zA-Z0-9:_]/.test(character) || (character === '.' && index > 0)) return character
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`
}

/** They separate options and layers. */
function refuseUnsuitable(path: string): void {
  const [character] = /[,:"\\\p{Cc}]/u.exec(path) ?? []
  if (character === undefined) return
  throw new ForerunError(
    'checkout',
    `no overlay can be mounted in '${path}': the path has ${JSON.stringify(character)}`,
    {
      hint: 'Set [containers] path in forerun.conf to another folder.',
    },
  )
}

/** systemd.unit(5), "Specifiers". */
function doubled(text: string): string {
  return text.replaceAll('%', '%%')
}
