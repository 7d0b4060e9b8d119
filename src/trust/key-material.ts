import { readFileSync } from 'node:fs'
import { ForerunError } from '../errors.ts'
import { requireRootOnly } from '../host/root-only.ts'
import type { KeyMaterial } from './policy.ts'

/**
 * The bytes of a key or certificate that a policy names.
 *
 * @throws ForerunError `policy` when the file cannot be read, or others than root may change it: without its keys a policy accepts
 * nothing.
 */
export function readKeyMaterial(material: KeyMaterial): Buffer {
  if ('data' in material) return material.data
  requireRootOnly(material.path, 'policy')
  try {
    return readFileSync(material.path)
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'is not there' : 'cannot be read'
    throw new ForerunError('policy', `the key ${material.path}, which policy.json names, ${reason}`, {
      hint: 'Put the key there, or correct the path in policy.json (forerun trust show).',
      cause,
    })
  }
}

/** What to call keys in a message: `the key /etc/pki/a.gpg`, `one of the keys /a, /b`. */
export function namedKeys(keys: readonly KeyMaterial[]): string {
  const names = keys.map((key) => ('path' in key ? key.path : 'in policy.json')).join(', ')
  return `${keys.length > 1 ? 'one of the keys' : 'the key'} ${names}`
}
