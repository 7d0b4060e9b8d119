import { createHash } from 'node:crypto'
import type { JudgedImage } from './judgement.ts'
import { readKeyMaterial } from './key-material.ts'
import { type Policy, type Requirement, requirementsFor } from './policy.ts'

/**
 * What stands for the requirements that an image has met: a digest over them and the content of their keys, to be kept
 * with the image. While it is the same, the image need not be judged again.
 *
 * @returns undefined when nothing is required.
 * @throws ForerunError `policy` for a key that cannot be read.
 */
export function acceptanceOf(policy: Policy, image: Pick<JudgedImage, 'transport' | 'scopes'>): string | undefined {
  const { requirements } = requirementsFor(policy, image)
  if (requirements.every(({ type }) => type === 'insecureAcceptAnything')) return undefined
  const hash = createHash('sha256')
  for (const requirement of requirements) hash.update(`${JSON.stringify(requirement, withKeys)}\n`)
  return hash.digest('hex')
}

/** A key counts by what it is, not by where it lies. */
function withKeys(this: Requirement, _name: string, value: unknown): unknown {
  const isKey = typeof value === 'object' && value !== null && ('path' in value || 'data' in value)
  return isKey ? readKeyMaterial(value as Parameters<typeof readKeyMaterial>[0]).toString('base64') : value
}
