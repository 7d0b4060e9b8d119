import { dropInTemplate } from '../../templates/drop-in.template.ts'
import { parseTemplate, renderLineTemplate } from './template.ts'
import type { ResourceSetting } from './unit-resources.ts'
import { unitArgument, unitWord } from './unit-word.ts'

/**
 * The text of `NAME.service.d/10-forerun.conf`. Its `ExecStartPre=` comes after those of the unit itself.
 *
 * @param service.destination the deployment's directory; a path of the host.
 * @param service.runtime absolute path of the OCI runtime.
 * @param resources limits for the unit.
 */
export function renderDropIn(
  service: { name: string; destination: string; runtime: string },
  resources: readonly ResourceSetting[] = [],
): string {
  const base = renderLineTemplate(
    parseTemplate(dropInTemplate, 'drop-in.template'),
    new Map([
      ['NAME', service.name],
      ['CHECKOUT', unitWord(service.destination)],
      // The dash: there is nothing to delete after an orderly stop.
      ['DELETE_STALE_STATE', `${unitWord(`-${service.runtime}`)} delete --force ${unitArgument(service.name)}`],
    ]),
  )
  return base + resources.map(([key, value]) => `${key}=${value}\n`).join('')
}
