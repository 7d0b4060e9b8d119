import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { build, type Plugin } from 'esbuild'
import { bundledLicenses } from './licenses.ts'

/** Where the bundles go when it is not for a test: with their source maps, `koffi.node` and the licences. */
export const outputFolder = join(import.meta.dirname, '../dist')

/**
 * Makes the bundles `forerun.cjs` and, for its threads, `forerun-thread.cjs`, which is small and soon loaded. Each is one
 * CommonJS file that any Node can parse, so that one which is too old can say so; templates are inside as text. koffi's
 * binary is put beside them. A dynamic `import()` is still evaluated only when it is reached.
 *
 * @param output folder for the bundles, their maps (`forerun.cjs.map`), `koffi.node` and `LICENSE.packages`.
 * @param options.program where `forerun.cjs` begins, when it is not the program itself.
 */
export async function buildBundle(
  output: string = outputFolder,
  { program = 'src/cli/main.ts' }: { program?: string } = {},
): Promise<void> {
  await mkdir(output, { recursive: true })
  const root = join(import.meta.dirname, '..')
  const { metafile } = await build({
    absWorkingDir: root,
    metafile: true,
    entryPoints: { forerun: program, 'forerun-thread': 'src/operations/thread.ts' },
    outdir: output,
    outExtension: { '.js': '.cjs' },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    // Nothing newer than this may be in the text: an old Node must get as far as the banner.
    target: 'node12',
    minifySyntax: true,
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'eof',
    // dbus-next asks for it only to find a desktop session's bus.
    external: ['x11'],
    logLevel: 'warning',
    loader: { '.service': 'text', '.conf': 'text', '.template': 'text' },
    define: { 'import.meta.url': 'bundleUrl', 'import.meta.dirname': '__dirname' },
    banner: { js: banner },
    plugins: [koffiBeside, plainKeys],
  })
  await writeFile(join(output, 'LICENSE.packages'), await bundledLicenses(metafile, root))
  await chmod(join(output, 'forerun.cjs'), 0o755)
  await copyFile(koffiBinary(), join(output, 'koffi.node'))
}

const oldestNode = 24

/** Words that the oldest Node understands. `bundleUrl` stands for `import.meta.url`, which CommonJS does not have. */
const banner = `#!/usr/bin/env node
'use strict';
if (parseInt(process.versions.node, 10) < ${oldestNode}) {
  process.stderr.write('forerun needs Node ${oldestNode} or newer; this is ' + process.version + '\\n');
  process.exit(1);
}
var bundleUrl = require('url').pathToFileURL(__filename).href;`

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

/** undici's HTTP parser has BigInt literals as keys, which esbuild leaves and Node 12 cannot parse; `0n` and `0` are one key. */
const plainKeys: Plugin = {
  name: 'plain-keys',
  setup({ onLoad }) {
    onLoad({ filter: /\/undici\/lib\/milo\/[\w-]+\.js$/ }, async ({ path }) => ({
      contents: (await readFile(path, 'utf8')).replace(/([{,\s]\d+)n:/g, '$1:'),
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
