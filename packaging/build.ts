import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { builtinModules, createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { build, type Plugin } from 'esbuild'
import { bundledLicenses } from './licenses.ts'

/** Where the program goes when it is not for a test: `forerun.cjs`, the folder `lib` that it needs beside it, and the licences. */
export const outputFolder = join(import.meta.dirname, '../dist')

/**
 * Bundles the program: into `lib/`, in pieces of which only those are loaded that a command needs, with templates inside as
 * text, with source maps, and with koffi's binary; and `forerun.cjs`, which starts it, and which any Node can parse, so
 * that one which is too old can say so.
 *
 * @param options.program where it begins, when it is not the program itself.
 */
export async function buildBundle(
  output: string = outputFolder,
  { program = 'src/cli/main.ts' }: { program?: string } = {},
): Promise<void> {
  const lib = join(output, 'lib')
  await rm(lib, { recursive: true, force: true })
  await mkdir(lib, { recursive: true })
  const root = join(import.meta.dirname, '..')
  const { metafile } = await build({
    absWorkingDir: root,
    metafile: true,
    entryPoints: { program, thread: 'src/operations/thread.ts' },
    outdir: lib,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: `node${oldestNode}`,
    minify: true,
    keepNames: true,
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'eof',
    // dbus-next asks for it only to find a desktop session's bus.
    external: ['x11'],
    logLevel: 'warning',
    loader: { '.service': 'text', '.conf': 'text', '.template': 'text' },
    banner: { js: requireForPackages },
    plugins: [koffiBeside, lateBuiltins],
  })
  await writeFile(join(output, 'LICENSE.packages'), await bundledLicenses(metafile, root))
  await writeFile(join(output, 'forerun.cjs'), launcher, { mode: 0o755 })
  await copyFile(koffiBinary(), join(lib, 'koffi.node'))
}

const oldestNode = 24

/** Words that the oldest Node understands. */
const launcher = `#!/usr/bin/env node
'use strict';
if (parseInt(process.versions.node, 10) < ${oldestNode}) {
  process.stderr.write('forerun needs Node ${oldestNode} or newer; this is ' + process.version + '\\n');
  process.exit(1);
}
// What is received lies in few objects that hold much: with more room for young ones, more of it waits to be freed.
require('v8').setFlagsFromString('--semi-space-growth-factor=1');
import('./lib/program.mjs');
`

/** Packages that are not modules ask for Node's own parts in the older way. */
const requireForPackages = `const require=process.getBuiltinModule('module').createRequire(import.meta.url);`

/**
 * A module that imports a part of Node makes Node load whatever that part would load when it is first used: all of its
 * streams for one function of `fs`. So such a part becomes an object that asks for it, name by name, when a name is used.
 */
const lateBuiltins: Plugin = {
  name: 'late-builtins',
  setup({ onResolve, onLoad }) {
    const builtins = new Set(builtinModules)
    onResolve({ filter: /^[a-z_/:0-9]+$/ }, ({ path, kind }) => {
      const name = path.replace(/^node:/, '')
      return kind === 'import-statement' && builtins.has(name) ? { path: name, namespace: 'late-builtin' } : undefined
    })
    onLoad({ filter: /.*/, namespace: 'late-builtin' }, ({ path }) => {
      const now = `process.getBuiltinModule(${JSON.stringify(path)})`
      const part: unknown = process.getBuiltinModule(path)
      // Of the others, which are functions or classes, the whole is what is imported.
      if (typeof part !== 'object' || part === null) return { contents: `module.exports = ${now}` }
      const names = Object.keys(part).map((name) => `get ${JSON.stringify(name)}() { return part().${name} },`)
      const contents = `let loaded; const part = () => (loaded ??= ${now}); module.exports = {\n${names.join('\n')}\n}`
      return { contents, loader: 'js' }
    })
  },
}

/** koffi looks for its binary in packages by name; the bundle has one, in its own folder. */
const koffiBeside: Plugin = {
  name: 'koffi-beside',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\/static\.js$/ }, ({ importer }) =>
      importer.endsWith('/koffi/index.js') ? { path: 'static', namespace: 'koffi-beside' } : undefined,
    )
    onResolve({ filter: /^\.\/koffi\.node$/ }, ({ path }) => ({ path, external: true }))
    onLoad({ filter: /.*/, namespace: 'koffi-beside' }, () => ({
      contents: `exports.loadStatic = () => require('./koffi.node')`,
      loader: 'js',
    }))
  },
}

/** The binary for this machine, for glibc: what the project runs on. */
function koffiBinary(): string {
  const koffi = createRequire(createRequire(import.meta.url).resolve('koffi'))
  const main = koffi.resolve(`@koromix/koffi-linux-${process.arch}`)
  return join(dirname(main), `linux_${process.arch}`, 'koffi.node')
}

if (import.meta.main) await buildBundle()
