import fs from 'node:fs'

// As they are now: a test may have calls of the file system fail later on.
const { mkdtempSync, rmSync } = fs

/** A folder, its name with random letters after the prefix, removed when it is disposed of, and when this process ends before. */
export function heldFolder(prefix: string): { readonly path: string } & Disposable {
  const path = mkdtempSync(prefix)
  const release = (): void => rmSync(path, { recursive: true, force: true })
  const disarm = releaseAtEnd(release)
  return {
    path,
    [Symbol.dispose]() {
      release()
      disarm()
    },
  }
}

/**
 * Has something given back when this process ends before it was disposed of: by Ctrl-C, by another signal, or by leaving.
 * Nothing can be awaited then. Returns the function that calls this off.
 */
export function releaseAtEnd(release: () => void): () => void {
  if (held.size === 0) {
    process.on('exit', releaseAll)
    for (const signal of signals) process.on(signal, endBySignal)
  }
  held.add(release)
  return () => {
    held.delete(release)
    if (held.size > 0) return
    process.off('exit', releaseAll)
    for (const signal of signals) process.off(signal, endBySignal)
  }
}

const held = new Set<() => void>()
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

function endBySignal(signal: NodeJS.Signals): void {
  releaseAll()
  for (const each of signals) process.off(each, endBySignal)
  process.kill(process.pid, signal)
}

/** What came last goes first: it may use what was there before. */
function releaseAll(): void {
  for (const release of [...held].reverse()) {
    try {
      release()
    } catch (error) {
      process.stderr.write(`left behind: ${error instanceof Error ? error.message : error}\n`)
    }
  }
  held.clear()
}
