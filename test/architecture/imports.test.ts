import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { describe, it } from 'node:test'

/**
 * The import rule of ARCHITECTURE.md: a folder may import folders of lower rows only, never one of its own row, except
 * that `operations` and `cli` are single. `wire.ts` and `main.ts` are parts of `cli`.
 */
const rows = [
  ['cli'],
  ['operations'],
  ['source', 'trust', 'layer', 'store', 'bundle', 'systemd', 'transaction', 'config'],
  ['image', 'tree', 'host'],
  ['events.ts'],
  ['errors.ts'],
]

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

describe('the import rule', () => {
  it('sees the imports', () => {
    assert.ok(imports.some(({ file, specifier }) => file === 'cli/main.ts' && specifier === './program.ts'))
    assert.ok(imports.length > 100)
  })

  it('lets folders import only folders below them', () => {
    const wrong = imports
      .filter(({ specifier }) => specifier.startsWith('.'))
      .map(({ file, specifier }) => ({ file, target: normalize(join(dirname(file), specifier)) }))
      .filter(({ target }) => !target.startsWith('..'))
      .filter(({ file, target }) => folder(file) !== folder(target) && row(folder(file)) >= row(folder(target)))
      .map(({ file, target }) => `${file} imports ${target}`)
    assert.deepEqual(wrong, [])
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

  it('lets main.ts alone end the process', () => {
    const ending = globSync('**/*.ts', { cwd: source }).filter((file) =>
      /process\.exit\(/.test(readFileSync(join(source, file), 'utf8')),
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
