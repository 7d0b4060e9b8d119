import type { TransferContext } from '../../source.ts'
import { dropBody } from '../transport/answer.ts'
import { follow } from '../transport/follow.ts'
import { nominalOrigin } from '../transport/nominal-origin.ts'
import { findOrigin } from '../transport/origin.ts'
import { refusal } from '../transport/refusal.ts'
import { type Credentials, openRegistry, type Registry, type RegistryOptions } from '../transport/registry.ts'
import { withRetries } from '../transport/retries.ts'
import { answerChallenge } from './authorization.ts'

/**
 * Asks a registry whether it takes the credentials (distribution specification, "Determining Support"). One that asks
 * nobody for a name takes any.
 *
 * @throws ForerunError `unauthorized` when it does not, else as fetching does.
 */
export async function checkLogin(
  domain: string,
  { credentials, ...options }: Omit<RegistryOptions, 'credentials'> & { credentials: Credentials },
  context: TransferContext,
): Promise<void> {
  const registry = openRegistry({ domain, path: '' }, { ...options, credentials: async () => credentials })
  try {
    const url = new URL('/v2/', nominalOrigin(registry.reference))
    await withRetries(registry, url, { context, attempt: () => attempt(registry, context) })
  } finally {
    await registry.dispatcher.destroy()
  }
}

async function attempt(registry: Registry, context: TransferContext): Promise<void> {
  const url = new URL('/v2/', await findOrigin(registry, context))
  const scope = { actions: 'pull' } as const
  let answer = await follow(registry, url, { headers: {}, context })
  registry.reached = true
  if (answer.status === 401) {
    dropBody(answer)
    const challenge = answer.header('www-authenticate')
    const authorization = await answerChallenge(registry, context, { challenge, used: undefined, scope })
    answer = await follow(registry, url, { headers: { authorization }, context })
  }
  if (answer.status !== 200) throw await refusal(answer, { registry, signal: context.signal })
  dropBody(answer)
}
