import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { describe, it } from 'node:test'

/**
 * The import rule of ARCHITECTURE.md: a folder may import folders of lower rows only, never one of its own row. Rooms of a
 * folder have rows of their own; `.` are the files of the folder itself.
 */
const rows = [
  ['cli'],
  ['operations'],
  ['workers'],
  ['source', 'trust', 'layer', 'store', 'bundle', 'systemd', 'transaction', 'config'],
  ['image', 'tree', 'host'],
  ['events.ts'],
  ['errors.ts'],
]
const rooms: Record<string, readonly string[][]> = {
  operations: [['containers'], ['images'], ['integrity'], ['transfer'], ['access', 'lookup'], ['.']],
  'source/registry': [['.'], ['signatures'], ['protocol'], ['auth'], ['transport'], ['config']],
}

/** Packages that one folder alone imports. */
const owners: Record<string, string> = {
  undici: 'source',
  'dbus-next': 'systemd',
  koffi: 'host',
  ini: 'config',
  commander: 'cli',
  pino: 'cli',
  'smol-toml': 'source',
  yaml: 'source',
  '@sigstore/core': 'trust',
}

const source = join(import.meta.dirname, '..', '..', 'src')
const imports = globSync('**/*.ts', { cwd: source }).flatMap((file) =>
  importLines(readFileSync(join(source, file), 'utf8')).map((specifier) => ({ file, specifier })),
)

/** Imports of files below `src`. */
const targets = imports
  .filter(({ specifier }) => specifier.startsWith('.'))
  .map(({ file, specifier }) => ({ file, target: normalize(join(dirname(file), specifier)) }))
  .filter(({ target }) => !target.startsWith('..'))

describe('the import rule', () => {
  it('sees the imports', () => {
    assert.ok(imports.some(({ file, specifier }) => file === 'cli/main.ts' && specifier === './program.ts'))
    assert.ok(imports.length > 100)
  })

  it('lets folders import only folders below them', () => {
    const wrong = targets
      .filter(({ file, target }) => folder(file) !== folder(target) && row(folder(file)) >= row(folder(target)))
      .map(({ file, target }) => `${file} imports ${target}`)
    assert.deepEqual(wrong, [])
  })

  for (const [house, order] of Object.entries(rooms)) {
    it(`lets rooms of ${house} import only rooms below them`, () => {
      const roomOf = (file: string): string => /^([^/]+)\//.exec(file.slice(house.length + 1))?.[1] ?? '.'
      const rowOf = (room: string): number => order.findIndex((names) => names.includes(room))
      const inside = targets.filter(({ file, target }) => [file, target].every((path) => path.startsWith(`${house}/`)))
      const pairs = inside.map(({ file, target }) => ({ file, target, from: roomOf(file), to: roomOf(target) }))
      assert.deepEqual(new Set(pairs.map(({ from }) => from)), new Set(order.flat()))
      const wrong = pairs.filter(({ from, to }) => from !== to && rowOf(from) >= rowOf(to))
      assert.deepEqual(
        wrong.map(({ file, target }) => `${file} imports ${target}`),
        [],
      )
    })
  }

  it('has no circle, of types neither', () => {
    const next = new Map<string, string[]>()
    for (const { file, target } of targets) next.set(file, [...(next.get(file) ?? []), target])
    const finished = new Set<string>()
    const circles: string[] = []
    const visit = (file: string, above: readonly string[]): void => {
      if (above.includes(file)) circles.push([...above.slice(above.indexOf(file)), file].join(' -> '))
      if (above.includes(file) || finished.has(file)) return
      for (const target of next.get(file) ?? []) visit(target, [...above, file])
      finished.add(file)
    }
    for (const file of next.keys()) visit(file, [])
    assert.deepEqual(circles, [])
  })

  it('leaves a package to the folder that owns it', () => {
    const wrong = imports
      .filter(({ file, specifier }) => (owners[packageOf(specifier)] ?? folder(file)) !== folder(file))
      .map(({ file, specifier }) => `${file} imports ${specifier}`)
    assert.deepEqual(wrong, [])
  })

  it('knows every folder', () => {
    const unknown = new Set(imports.map(({ file }) => folder(file)).filter((name) => row(name) < 0))
    assert.deepEqual([...unknown], [])
  })

  it('lets host/run.ts alone start programs', () => {
    const starting = imports.filter(({ specifier }) => /^(node:)?child_process$/.test(specifier))
    assert.deepEqual(new Set(starting.map(({ file }) => file)), new Set([join('host', 'run.ts')]))
  })

  it('lets main.ts alone end the process', () => {
    const ending = globSync('**/*.ts', { cwd: source }).filter((file) =>
      /process\.exit\(|processEnd\.atOnce\?\.\(/.test(readFileSync(join(source, file), 'utf8')),
    )
    assert.deepEqual(ending, [join('cli', 'main.ts')])
  })
})

function importLines(text: string): string[] {
  const pattern = /^(?:import|export)\b[^'"]*?\bfrom\s*'([^']+)'|\bimport\(\s*'([^']+)'\s*\)|^import\s+'([^']+)'/gm
  return [...text.matchAll(pattern)].map(([, named, dynamic, bare]) => named ?? dynamic ?? bare ?? '')
}

function folder(file: string): string {
  return relative('.', file).split('/')[0] ?? ''
}

function row(name: string): number {
  return rows.findIndex((names) => names.includes(name))
}

function packageOf(specifier: string): string {
  return specifier.startsWith('@') ? specifier.split('/').slice(0, 2).join('/') : (specifier.split('/')[0] ?? '')
}
