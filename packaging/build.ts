import { execFileSync } from 'node:child_process'
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { builtinModules, createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type BuildOptions, build, type Plugin } from 'esbuild'
import manifest from '../package.json' with { type: 'json' }
import { bundledLicenses } from './licenses.ts'

/** Where the program goes when it is not for a test: `forerun.cjs`, the folder `lib` that it needs beside it, and the licences. */
export const outputFolder = join(import.meta.dirname, '../dist')

/**
 * Bundles the program into `lib/`: one file with what V8 made of it, so that a start need not parse it; files of their own
 * for its threads and for large packages that few commands need; source maps, and koffi's binary. Templates are inside as text.
 * `forerun.cjs` starts it, and any Node can parse that, so that one which is too old can say so.
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
  const common = {
    absWorkingDir: root,
    metafile: true,
    outdir: lib,
    outExtension: { '.js': '.cjs' },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: `node${oldestNode}`,
    // A script of `vm` has only `require`.
    supported: { 'dynamic-import': false },
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
    define: { 'import.meta.url': 'moduleAddress' },
  } satisfies BuildOptions
  const plugins = [koffiBeside, lateBuiltins, undiciParts]
  const built = await Promise.all([
    build({
      ...common,
      entryPoints: { program },
      banner: { js: '(function (require, moduleAddress) {' },
      footer: { js: '})' },
      plugins: [packagesBeside, ...plugins],
    }),
    build({
      ...common,
      entryPoints: { thread: 'src/workers/thread.ts' },
      banner: { js: "const moduleAddress = require('url').pathToFileURL(__filename).href;" },
      plugins: [packagesBeside, ...plugins],
    }),
    build({ ...common, entryPoints: Object.fromEntries(packages.map((name) => [fileOf(name), name])), plugins }),
  ])
  const metafile = { inputs: Object.assign({}, ...built.map((each) => each.metafile.inputs)), outputs: {} }
  await writeFile(join(output, 'LICENSE.packages'), await bundledLicenses(metafile, root))
  await writeFile(join(output, 'forerun.cjs'), launcher, { mode: 0o755 })
  await copyFile(koffiBinary(), join(lib, 'koffi.node'))
  compile(join(lib, 'program.cjs'), join(lib, compiledName(process.arch)))
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
  // Scripts ask for it often: the program would take longer to load than Node itself to start, and so would Node's streams.
  try {
    require('fs').writeSync(1, '${manifest.version}\\n');
  } catch (error) {
    if (error.code === 'EAGAIN') process.stdout.write('${manifest.version}\\n');
    else if (error.code !== 'EPIPE') {
      process.stderr.write('forerun: ' + error.message + '\\n');
      process.exitCode = 1;
    }
  }
} else {
  var fs = require('fs');
  var path = __dirname + '/lib/program.cjs';
  var compiled;
  try {
    compiled = fs.readFileSync(__dirname + '/lib/program-' + process.version + '-' + process.arch + '.cache');
  } catch (error) {
    // Made by another Node, or for another architecture: compiling takes a little longer.
    if (error.code !== 'ENOENT') throw error;
  }
  var script = new (require('vm').Script)(fs.readFileSync(path, 'latin1'), { filename: path, cachedData: compiled });
  script.runInThisContext()(function (name) {
    return require(name.charAt(0) === '.' ? './lib/' + name : name);
  }, require('url').pathToFileURL(path).href);
}
`

/**
 * The name of what V8 made of the program. It is of use to the Node that made it, which is the one of the archive.
 */
export function compiledName(architecture: string): string {
  return `program-${process.version}-${architecture}.cache`
}

/**
 * Writes what V8 makes of a script before it runs; functions are compiled when they are called. All of them in advance took as
 * long to read as it saved. V8 takes it only with the options that it was made with, so the seed is set back. The seed, and a
 * name without folders, make for equal bytes.
 */
function compile(script: string, compiled: string): void {
  execFileSync(process.execPath, ['--hash-seed=1', '--eval', compiling, script, compiled])
}

const compiling = `
  const { readFileSync, writeFileSync } = require('fs')
  const { setFlagsFromString } = require('v8')
  const [, path, compiled] = process.argv
  const script = new (require('vm').Script)(readFileSync(path, 'latin1'), { filename: 'program.cjs' })
  setFlagsFromString('--hash-seed=0')
  writeFileSync(compiled, script.createCachedData())`

/** Large ones, of which most commands need none: each is a file that is loaded with the first module that uses it. */
const packages = ['undici', 'yaml', 'smol-toml', 'pino', 'tar-stream', '@sigstore/core']

function fileOf(name: string): string {
  return name.replace(/\W+/g, '-').replace(/^-/, '')
}

const packagesBeside: Plugin = {
  name: 'packages-beside',
  setup({ onResolve }) {
    onResolve({ filter: /^[@a-z]/ }, ({ path }) =>
      packages.includes(path) ? { path: `./${fileOf(path)}.cjs`, external: true } : undefined,
    )
  },
}

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
      const names = namesOf(path).map((name) => `get ${name}() { return part().${name} },`)
      const late = `let loaded; const part = () => (loaded ??= ${ask(path)}); const names = {${names.join('\n')}};`
      if (path === 'assert') {
        const properties = 'Object.getOwnPropertyDescriptors(names)'
        return {
          contents: `${late} module.exports = Object.defineProperties((...words) => part()(...words), ${properties})`,
        }
      }
      // Of any other part that is itself a function, a class, the whole is what is imported.
      if (typeof process.getBuiltinModule(path) !== 'object') return { contents: `module.exports = ${ask(path)}` }
      const contents = `${late} module.exports = names`
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

/**
 * koffi looks for its binary in packages by name; the bundle has one, in its own folder. It is loaded with the first system call:
 * what only reads makes none.
 */
const koffiBeside: Plugin = {
  name: 'koffi-beside',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^koffi$/ }, () => ({ path: 'koffi', namespace: 'koffi-late' }))
    onLoad({ filter: /.*/, namespace: 'koffi-late' }, () => ({
      contents: `
        const koffi = () => require('./index.js').default
        exports.load = (...words) => koffi().load(...words)
        exports.errno = () => koffi().errno()`,
      resolveDir: dirname(createRequire(import.meta.url).resolve('koffi')),
    }))
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
