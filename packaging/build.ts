import { execFileSync } from 'node:child_process'
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { builtinModules, createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { build, type Plugin } from 'esbuild'
import manifest from '../package.json' with { type: 'json' }
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
    entryPoints: { program, thread: 'src/workers/thread.ts' },
    outdir: lib,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: `node${oldestNode}`,
    // Names stay: errors tell them.
    minifySyntax: true,
    minifyWhitespace: true,
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'eof',
    // dbus-next asks for it only to find a desktop session's bus.
    external: ['x11'],
    logLevel: 'warning',
    loader: { '.service': 'text', '.conf': 'text', '.template': 'text' },
    banner: { js: requireForPackages },
    plugins: [koffiBeside, lateBuiltins, undiciParts],
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
if (process.argv.length === 3 && process.argv[2] === '--version') {
  // Scripts ask for it often: the program would take longer to load than Node itself to start.
  process.stdout.on('error', function (error) {
    if (error.code !== 'EPIPE') process.stderr.write('forerun: ' + error.message + '\\n', function () { process.exit(1); });
  });
  process.stdout.write('${manifest.version}\\n');
} else {
  import('./lib/program.mjs');
}
`

/** Packages that are not modules ask for Node's own parts in the older way. */
const requireForPackages = `let requireHere;const require=name=>(requireHere??=process.getBuiltinModule('module').createRequire(import.meta.url))(name);`

/**
 * A module that imports a part of Node makes Node load whatever that part would load when it is first used: all of its
 * streams for one function of `fs`. So such imports become calls. Of a part that every program has loaded, the names that
 * are used are asked for at once; any other part is loaded when the first of its names is used.
 */
const lateBuiltins: Plugin = {
  name: 'late-builtins',
  setup({ onResolve, onLoad }) {
    const builtins = new Set(builtinModules)
    const words = ['--print', 'process.moduleLoadList.join()']
    const loaded = new Set(execFileSync(process.execPath, words, { encoding: 'utf8' }).trim().split(','))
    onResolve({ filter: /^[a-z_/:0-9]+$/ }, ({ path, kind }) => {
      const name = path.replace(/^node:/, '')
      if (!builtins.has(name)) return undefined
      if (loaded.has(`NativeModule ${name}`)) {
        return kind === 'import-statement' ? { path: name, namespace: 'loaded-builtin', sideEffects: false } : undefined
      }
      return kind === 'dynamic-import' ? undefined : { path: name, namespace: 'late-builtin' }
    })
    onLoad({ filter: /.*/, namespace: 'loaded-builtin' }, ({ path }) => {
      const names = namesOf(path).map((name) => `export const ${name} = /* @__PURE__ */ (() => part.${name})()`)
      return { contents: [`const part = ${ask(path)}`, 'export default part', ...names].join('\n') }
    })
    onLoad({ filter: /.*/, namespace: 'late-builtin' }, ({ path }) => {
      // Of a part that is itself a function or a class, the whole is what is imported.
      if (typeof process.getBuiltinModule(path) !== 'object') return { contents: `module.exports = ${ask(path)}` }
      const names = namesOf(path).map((name) => `get ${name}() { return part().${name} },`)
      const contents = `let loaded; const part = () => (loaded ??= ${ask(path)}); module.exports = {${names.join('\n')}}`
      return { contents }
    })
  },
}

function ask(builtin: string): string {
  return `/* @__PURE__ */ process.getBuiltinModule(${JSON.stringify(builtin)})`
}

function namesOf(builtin: string): string[] {
  return Object.keys(process.getBuiltinModule(builtin) ?? {}).filter(
    (name) => /^[A-Za-z_$][\w$]*$/.test(name) && name !== 'default',
  )
}

/**
 * What the program uses of undici: its `index.js` makes all of it at once, the browser's `fetch` and WebSocket among it,
 * which takes three times as long. As there, dispatchers get their methods from `lib/api`.
 */
const undiciParts: Plugin = {
  name: 'undici-parts',
  setup({ onLoad }) {
    onLoad({ filter: /\/node_modules\/undici\/index\.js$/ }, () => ({
      contents: `
        Object.assign(require('./lib/dispatcher/dispatcher').prototype, require('./lib/api'))
        exports.Agent = require('./lib/dispatcher/agent')
        exports.Pool = require('./lib/dispatcher/pool')
        exports.buildConnector = require('./lib/core/connect')`,
    }))
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
