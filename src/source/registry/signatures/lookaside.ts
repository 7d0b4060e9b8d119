import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { ForerunError } from '../../../errors.ts'
import { type Digest, digestAlgorithm, digestHex } from '../../../image/digest.ts'
import type { Reference } from '../../../image/reference.ts'
import type { FoundSignature } from '../../../image/signature.ts'
import { largestSignature } from '../../signature-blob.ts'
import type { TransferContext } from '../../source.ts'
import { dropBody } from '../transport/answer.ts'
import { displayUrl } from '../transport/failure.ts'
import { follow } from '../transport/follow.ts'
import { refusal } from '../transport/refusal.ts'
import type { Registry } from '../transport/registry.ts'
import { withRetries } from '../transport/retries.ts'
import { wholeBody } from '../transport/whole-body.ts'
import type { SignatureBudget } from './signature-budget.ts'

/**
 * Reads the signature storage beside a registry: `BASE/REPOSITORY@ALGORITHM=HEX/signature-N` from 1 on, until one is not there
 * (containers/image, "Signature access protocols"). The registry's credentials are not sent.
 *
 * @param options.reference the image's name as asked for, wherever a mirror has it.
 * @throws ForerunError when a file or an answer says anything else than that there is none: a storage that fails is not one that is
 * empty.
 */
export async function readLookaside(
  registry: Registry,
  base: URL,
  {
    digest,
    reference,
    budget,
    context,
  }: {
    digest: Digest
    reference: Reference
    budget: SignatureBudget
    context: TransferContext
  },
): Promise<FoundSignature<Buffer>[]> {
  const found: FoundSignature<Buffer>[] = []
  for (;;) {
    const url = new URL(base)
    const folder = `${reference.path}@${digestAlgorithm(digest)}=${digestHex(digest)}`
    url.pathname = `${base.pathname.replace(/\/+$/, '')}/${folder}/signature-${found.length + 1}`
    const signature =
      url.protocol === 'file:' ? await readFile(url, budget) : await readWeb(registry, url, { budget, context })
    if (signature === undefined) return found
    found.push(signature)
  }
}

async function readFile(url: URL, budget: SignatureBudget): Promise<FoundSignature<Buffer> | undefined> {
  const origin = fileURLToPath(url)
  try {
    // A pipe of that name would keep the reader waiting.
    await using file = await open(origin, constants.O_RDONLY | constants.O_NONBLOCK)
    budget.spend((await file.stat()).size, origin)
    return { origin, content: await file.readFile() }
  } catch (cause) {
    if (cause instanceof ForerunError) throw cause
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new ForerunError('signature', `cannot read the signature ${origin}: ${(cause as Error).message}`, {
      hint: 'Check the folder, and the address of the lookaside in /etc/containers/registries.d.',
      cause,
    })
  }
}

async function readWeb(
  registry: Registry,
  url: URL,
  { budget, context }: { budget: SignatureBudget; context: TransferContext },
): Promise<FoundSignature<Buffer> | undefined> {
  const origin = displayUrl(url)
  const target = new URL(url)
  const headers = authorization(target)
  const content = await withRetries(registry, target, {
    context,
    attempt: async () => {
      const answer = await follow(registry, target, { headers, context })
      if (answer.status === 404) {
        dropBody(answer)
        return undefined
      }
      const { signal } = context
      if (answer.status !== 200) throw await refusal(answer, { registry, signal })
      return wholeBody(answer, { limit: largestSignature, signal, document: 'a signature' })
    },
  })
  if (content === undefined) return undefined
  budget.spend(content.length, origin)
  return { origin, content }
}

/** User and password of the address itself, which is left without them. */
function authorization(url: URL): Record<string, string> {
  const { username, password } = url
  url.username = ''
  url.password = ''
  if (username === '') return {}
  const words = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return { authorization: `Basic ${Buffer.from(words).toString('base64')}` }
}
