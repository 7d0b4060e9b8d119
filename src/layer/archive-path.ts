import type { LayerLimits } from '../image/layer-limits.ts'
import { type ByteString, displayPath } from '../tree/entry.ts'
import { LayerFault } from './fault.ts'

/**
 * A name of the archive as a path of the contract: scoped to the root as container engines do it (Go's
 * `filepath.Clean("/" + name)`), so that `./a//b/` is `a/b`, `/etc` is `etc`, and `../x` is `x`.
 *
 * @throws LayerFault when it is longer or deeper than the limits allow.
 */
export function archivePath(name: ByteString, limits: LayerLimits): ByteString {
  if (name.length > limits.pathLength) {
    throw new LayerFault(`a path of ${name.length} bytes (${limits.pathLength} are allowed)`, { limit: 'pathLength' })
  }
  const path = isClean(name) ? name : clean(name)
  checkParts(path, limits)
  return path
}

function isClean(name: ByteString): boolean {
  return !unclean.test(name)
}

/** A slash at either end, two in a row, or a part `.` or `..`. */
const unclean = /^\/|\/$|\/\/|(?:^|\/)\.\.?(?:\/|$)/

function clean(name: ByteString): ByteString {
  const parts: string[] = []
  for (const part of name.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return parts.join('/')
}

function checkParts(path: ByteString, limits: LayerLimits): void {
  let depth = 1
  let start = 0
  for (let slash = path.indexOf('/'); ; slash = path.indexOf('/', start)) {
    const end = slash === -1 ? path.length : slash
    if (end - start > longestName) {
      throw new LayerFault(`a file name of ${end - start} bytes ('${displayPath(path.slice(start, start + 40))}…')`)
    }
    if (slash === -1) break
    depth++
    start = slash + 1
  }
  if (depth > limits.pathDepth) {
    throw new LayerFault(`a path of ${depth} parts (${limits.pathDepth} are allowed)`, { limit: 'pathDepth' })
  }
}

/** NAME_MAX of Linux. */
const longestName = 255
