import { ForerunError } from '../../errors.ts'
import { readDeployment } from '../../store/deployment.ts'
import type { Context } from '../context.ts'
import { findNamedImage } from '../lookup/named-image.ts'
import { type RunOnceRequest, runOnce } from './run-once.ts'
import { requireDeployment, runInContainer, startContainer } from './service.ts'

/** `words` are a command; `target` is a container or an image. */
export interface RunRequest extends Omit<RunOnceRequest, 'image'> {
  readonly target: string
  readonly words: readonly string[]
}

/**
 * Starts the service of a container, runs a command in one, or runs an image once. Words with `:` or `/` are an image, others a
 * container, and where there is none of that name, a stored image.
 *
 * @returns the exit status of what was run.
 * @throws ForerunError `container-not-found` for words that are neither; as `startContainer`, `runInContainer`, `runOnce`.
 */
export async function run(request: RunRequest, context: Context): Promise<number> {
  const { target, words, runtime } = request
  if (/[:/]/.test(target)) return await runOnce({ ...request, image: target }, context)
  if (readDeployment(context.paths.containers, target) === undefined) {
    const image = findNamedImage(target, context)
    const name = image?.name ?? image?.record.names[0]
    if (name !== undefined) return await runOnce({ ...request, image: name }, context)
    requireDeployment(target, context)
  }
  refuseImageOptions(request)
  if (words.length > 0) return await runInContainer(target, words, { runtime, context })
  await startContainer(target, context)
  return 0
}

/** What a container is was decided when it was installed. */
function refuseImageOptions({ target, ...request }: RunRequest): void {
  const options = { '--name': request.name, '--set': request.set, '--set-file': request.setFile }
  const [given] = Object.entries(options).find(([, value]) => value !== undefined) ?? []
  if (given === undefined) return
  throw new ForerunError('usage', `${given} is for an image, and '${target}' is a container`, {
    hint: `To change its values: forerun update ${given === '--name' ? '--set' : given} … ${target}`,
  })
}
