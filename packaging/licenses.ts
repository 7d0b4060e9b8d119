import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Metafile } from 'esbuild'

/**
 * The licences of all packages of which something is in a bundle, one after the other under the packages' names, as they ask for
 * with every copy.
 *
 * @param metafile of the build, with paths from `root`.
 * @throws for a package without a licence file that does not say in package.json what its licence is.
 */
export async function bundledLicenses(metafile: Metafile, root: string): Promise<string> {
  const folders = Object.keys(metafile.inputs).flatMap((path) => packageFolder.exec(path)?.[0] ?? [])
  const texts = [...new Set(folders)].sort().map((folder) => licenseOf(join(root, folder)))
  return (await Promise.all(texts)).join('\n')
}

/** Of the innermost package of a path, with its scope. */
const packageFolder = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/

async function licenseOf(folder: string): Promise<string> {
  const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
  const files = (await readdir(folder)).filter((file) => /^(?:licen[cs]e|copying|notice)/i.test(file)).sort()
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')))
  if (texts.length === 0 && typeof license !== 'string') throw new Error(`${name} does not say what its licence is`)
  const text = texts.length === 0 ? `License: ${license}` : texts.map((one) => one.trim()).join('\n\n')
  return `${name} ${version}\n${'='.repeat(`${name} ${version}`.length)}\n\n${text}\n`
}
