import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ForerunEvent } from '../../../src/events.ts'
import type { CredentialOptions } from '../../../src/source/registry/auth/credentials.ts'
import { storedCredentials } from '../../../src/source/registry/auth/credentials.ts'
import { type TestTree, treeOf } from './containers-files.ts'

/** An entry of `auths`. */
export function entry(user: string, password: string): { auth: string } {
  return { auth: Buffer.from(`${user}:${password}`).toString('base64') }
}

/** A tree with these files, JSON where it is no text. */
export function authTree(files: Record<string, unknown>): TestTree {
  const texts = Object.entries(files).map(([path, content]) => [
    path,
    typeof content === 'string' ? content : JSON.stringify(content),
  ])
  return treeOf(Object.fromEntries(texts))
}

/** What is found in a tree for `host` or `host/path`, and where. */
export async function lookUp(tree: TestTree, name: string, options: CredentialOptions = {}) {
  const [domain = '', ...path] = name.split('/')
  const found = await storedCredentials({ ...tree.place, ...options })(
    { domain, path: path.join('/') },
    quiet().context,
  )
  return found && { ...found, place: found.place.replace(tree.root, '') }
}

/** A context that nobody listens to but the test. */
export function quiet() {
  const events: ForerunEvent[] = []
  const controller = new AbortController()
  return {
    context: { signal: controller.signal, emit: (event: ForerunEvent) => events.push(event) },
    events,
    controller,
  }
}

/** Puts a script `docker-credential-NAME` into the tree's `/bin`, and that before PATH. Returns the environment. */
export function withHelper(tree: TestTree, name: string, script: string): Record<string, string> {
  mkdirSync(tree.path('bin'), { recursive: true })
  const path = join(tree.path('bin'), `docker-credential-${name}`)
  writeFileSync(path, `#!/bin/sh\n${script}\n`)
  chmodSync(path, 0o755)
  return { ...tree.place.environment, PATH: `${tree.path('bin')}:${process.env.PATH}` }
}
