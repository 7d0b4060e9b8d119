import { createHash } from 'node:crypto'
import { formatReference } from '../image/reference.ts'
import type { JudgedImage } from './judgement.ts'
import { readKeyMaterial } from './key-material.ts'
import { type Policy, type Requirement, requirementsFor } from './policy.ts'

/**
 * What stands for the requirements that an image has met under a name: a digest over them, the content of their keys and the
 * name, to be kept with the image. While it is the same, the image need not be judged again. Under another name it is: a
 * signature is for one, and the store gives an image names without asking for signatures.
 *
 * @returns undefined when nothing is required.
 * @throws ForerunError `policy` for a key that cannot be read.
 */
export function acceptanceOf(
  policy: Policy,
  image: Pick<JudgedImage, 'transport' | 'scopes' | 'reference'>,
): string | undefined {
  const { requirements } = requirementsFor(policy, image)
  if (requirements.every(({ type }) => type === 'insecureAcceptAnything')) return undefined
  const { reference } = image
  const hash = createHash('sha256').update(`${reference === undefined ? '' : formatReference(reference)}\n`)
  for (const requirement of requirements) hash.update(`${JSON.stringify(requirement, withKeys)}\n`)
  return hash.digest('hex')
}

/** A key counts by what it is, not by where it lies. */
function withKeys(this: Requirement, _name: string, value: unknown): unknown {
  const isKey = typeof value === 'object' && value !== null && ('path' in value || 'data' in value)
  return isKey ? readKeyMaterial(value as Parameters<typeof readKeyMaterial>[0]).toString('base64') : value
}
