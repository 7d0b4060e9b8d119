import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Change } from '../../src/transaction/change.ts'
import type { Random } from '../lab/random.ts'

const root = { mode: 0o644, uid: 0, gid: 0 }

/** A host with some files, links and folders of which a plan may make something. */
export function someHost(host: string): void {
  mkdirSync(join(host, 'units'), { recursive: true })
  for (const name of ['a', 'b', 'c']) {
    mkdirSync(join(host, `folder-${name}`, 'deep'), { recursive: true })
    mkdirSync(join(host, `empty-${name}`))
    mkdirSync(join(host, `staged-${name}`, 'in'), { recursive: true })
    writeFileSync(join(host, `staged-${name}`, 'in', 'file'), `volume ${name}`)
    writeFileSync(join(host, `folder-${name}`, 'deep', 'file'), `in folder ${name}`)
    writeFileSync(join(host, `file-${name}`), `first content of ${name}`)
    symlinkSync(`target-${name}`, join(host, `link-${name}`))
  }
}

/** Changes by chance, each of which can be made after those before it. */
export function randomPlan(host: string, random: Random): Change[] {
  const of = (kind: string): string[] => ['a', 'b', 'c'].map((name) => join(host, `${kind}-${name}`))
  const files = of('file')
  const links = of('link')
  const folders = of('folder')
  const volumes = of('staged')
  const empty = [join(host, 'empty-c')]
  const changes: Change[] = [{ kind: 'reload', when: 'undone' }]
  const take = (names: string[]): string => names.splice(random.below(names.length), 1)[0] as string
  for (let count = 4 + random.below(8), number = 0; number < count; number++) {
    const path = join(random.pick([host, ...folders, join(host, 'units')]), `new-${number}`)
    const content = { bytes: random.bytes(random.below(3000)) }
    const container = { name: `c${number}`, runtime: 'runc' }
    const unit = `c${number}.service`
    const possible: (() => Change | Change[])[] = [
      () => ({ kind: 'write-file', path, content, ...root, mode: random.pick([0o600, 0o755]) }),
      () => ({ kind: 'make-symlink', path, target: 'somewhere', uid: 0, gid: 0 }),
      () => ({ kind: 'make-directory', path, ...root, mode: 0o750 }),
      () => ({ kind: 'remove-empty', paths: of('empty').slice(random.below(2), 2) }),
      () => ({ kind: 'unit-state', unit, container }),
      // What it undoes is for the state before it to bring back.
      () => [
        { kind: 'unit-state', unit, container },
        { kind: 'stop', unit, container },
      ],
      () => ({ kind: 'mount', unit: `c${number}.mount` }),
      () => ({ kind: 'unmount', unit: `c${number}.mount`, when: random.pick(['applied', 'finished'] as const) }),
    ]
    if (volumes.length > 0) {
      possible.push(
        () => ({ kind: 'place-volume', staged: take(volumes), path: empty.pop() ?? join(host, `volume-${number}`) }),
        () => ({ kind: 'close-folder', path: random.pick(of('empty')) }),
      )
    }
    if (files.length > 0) {
      possible.push(
        () => ({ kind: 'remove-file', path: take(files) }),
        () => ({ kind: 'replace-file', path: random.pick(files), content, ...root }),
      )
    }
    if (links.length > 0) {
      possible.push(
        () => ({ kind: 'remove-file', path: take(links) }),
        () => ({ kind: 'replace-symlink', path: random.pick(links), target: `other-${number}`, uid: 0, gid: 0 }),
      )
    }
    if (folders.length > 0) {
      possible.push(
        () => ({ kind: 'rename', path: take(folders), to: join(host, `renamed-${number}`) }),
        () => ({ kind: 'discard', path: take(folders) }),
      )
    }
    changes.push(...[random.pick(possible)()].flat())
  }
  return [...changes, { kind: 'reload', when: 'applied' }]
}
