import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RuntimeConfiguration } from '../../bundle/runtime-schema.ts'
import { ForerunError } from '../../errors.ts'
import type { Deployment } from '../../store/deployment.ts'
import type { Context } from '../context.ts'
import { openOneOff } from '../one-off.ts'
import { runOneOff } from './run-one-off.ts'

/**
 * Runs a command in a container of its own that has the root and the configuration of a deployment, which stays as it is. A root
 * that is an overlay is mounted for as long as that takes.
 *
 * @returns its exit status.
 * @throws ForerunError `store` for a configuration that is damaged; as `runOneOff`.
 */
export async function runInFreshContainer(
  { name, folder, info }: Deployment,
  words: readonly string[],
  { runtime, context }: { runtime: string; context: Context },
): Promise<number> {
  const configuration = readConfiguration(folder)
  await using oneOff = await openOneOff({ id: `${name}-run-${randomBytes(4).toString('hex')}`, runtime }, context)
  const { overlay } = info.forerun
  if (overlay !== undefined) await oneOff.mountRoot({ mountUnit: overlay['mount-unit'], container: name })
  const sourceHint = `Start the service, which may make it: forerun run ${name}`
  return await runOneOff(oneOff, { configuration, bundle: folder, words, sourceHint }, context.signal)
}

/** As it was rendered; the runtime sees it anew. */
function readConfiguration(folder: string): RuntimeConfiguration {
  const path = join(folder, 'config.json')
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as RuntimeConfiguration
  } catch (cause) {
    throw new ForerunError('store', `the file '${path}' is damaged or missing`, {
      cause,
      hint: 'Put it back from a backup, or update the container.',
    })
  }
}
