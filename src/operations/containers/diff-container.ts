import { run } from '../../host/run.ts'
import { placedContentPath } from '../../store/deployment.ts'
import type { Context } from '../context.ts'
import { placedFiles } from '../placed-files.ts'
import { hostView } from './host-view.ts'
import { type InspectedFile, inspectedFiles } from './inspect-container.ts'
import { requireDeployment } from './service.ts'

/** A file on the host that is not as the deployment has it. */
export interface FileDifference extends Pick<InspectedFile, 'path' | 'kind'> {
  readonly state: 'modified' | 'missing'
  /** From what the deployment has to what lies on the host, as diff(1) tells it; empty for what is no text file. */
  readonly difference: string
}

/**
 * What was changed on the host of all that a container placed there.
 *
 * @throws ForerunError `container-not-found`, `program` without diff(1).
 */
export async function diffContainer(name: string, context: Context): Promise<FileDifference[]> {
  const deployment = requireDeployment(name, context)
  const view = hostView([name], context)
  const digests = new Map(
    placedFiles(deployment, context.paths).map((file) => [file.path, file.kind === 'file' ? file.digest : undefined]),
  )
  const differences: FileDifference[] = []
  for (const { path, kind, state } of inspectedFiles(deployment, view, context)) {
    if (state === 'as installed') continue
    const digest = digests.get(path)
    const isComparable = state === 'modified' && digest !== undefined && view.kind(path) === 'file'
    const difference = isComparable
      ? await textDifference(placedContentPath(deployment.folder, digest), path, context)
      : ''
    differences.push({ path, kind, state, difference })
  }
  return differences
}

async function textDifference(from: string, path: string, { signal }: Context): Promise<string> {
  const words = ['--unified', '--label', `${path} (deployment)`, '--label', path, '--', from, path]
  const { stdout } = await run('diff', words, { signal, timeout: 60_000, outputLimit: 16 * 1024 * 1024 })
  return stdout.toString()
}
