import { ForerunError } from '../../errors.ts'
import { isShortName, parseReference, shownWords } from '../../image/reference.ts'
import type { AuthScope } from '../../source/registry/auth/auth-key.ts'

/**
 * Reads `REGISTRY[/NAMESPACE]`. The address of a registry's API, which older tools are given, is taken for the registry.
 *
 * @throws ForerunError `reference`.
 */
export function parseLoginScope(text: string): AuthScope {
  const bare = text.replace(/^https?:\/\//, '').replace(/\/+$/, '')
  const words = bare === text ? bare : bare.replace(/\/.*$/s, '')
  try {
    // The grammar is that of an image's name, of which the last part is left open.
    if (!words.includes('@') && !isShortName(`${words}/x`)) {
      const { domain, path } = parseReference(`${words}/x`)
      return { domain, path: words.includes('/') ? path.replace(/\/x$/, '') : '' }
    }
  } catch (error) {
    if (!(error instanceof ForerunError)) throw error
  }
  throw new ForerunError('reference', `'${shownWords(text)}' is not the name of a registry`, {
    hint: 'Write HOST[:PORT], as in registry.example.com:5000, or HOST[:PORT]/NAMESPACE.',
  })
}

export function formatLoginScope({ domain, path }: AuthScope): string {
  return path === '' ? domain : `${domain}/${path}`
}
