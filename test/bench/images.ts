import { createHash } from 'node:crypto'
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { announce, cached } from '../lab/cache.ts'
import { assembleImage, type LabImage } from '../lab/image.ts'
import type { Compression, Layer } from '../lab/layer.ts'
import { ensurePackages } from '../lab/packages.ts'
import { execute } from '../lab/process.ts'
import { debianTree } from '../lab/tree.ts'

/** A folder with archives `NAME.tar`, and each of them also as `NAME.tar.gz` and `NAME.tar.zst`. */
export type Archives = string

/**
 * A real image of about 1 GB in three layers: `base` (Debian's smallest system), `applications` (development packages, which
 * have many files, and large ones), `top` (one small file); and `changed`, of some 4 MB, to be put in the place of `top`.
 */
export async function debianArchives(): Promise<Archives> {
  const [base, applications] = [
    await debianTree(basePackages),
    await debianTree(applicationPackages, { variant: 'extract' }),
  ]
  return await cached('bench-debian', { base, applications, recipe: 1 }, async (folder) => {
    await mkdir(folder)
    await archive(join(folder, 'base.tar'), base, ['.'])
    await archive(join(folder, 'applications.tar'), applications, ['.'])
    await withScratch(async (scratch) => {
      await mkdir(join(scratch, 'etc'))
      await writeFile(join(scratch, 'etc/top.conf'), 'top\n')
      await archive(join(folder, 'top.tar'), scratch, ['.'])
    })
    await archive(join(folder, 'changed.tar'), base, ['./usr/lib/x86_64-linux-gnu/perl-base'])
    await compressAll(folder)
  })
}

const basePackages = ['ca-certificates']
const applicationPackages = ['golang-1.19-src', 'libboost1.74-dev', 'llvm-14', 'openjdk-17-jdk-headless', 'rustc']

/** Ten builds of an image, one after the other: `build-0` to `build-9`, of which each has changed some files of the one before. */
export async function tenBuilds(): Promise<{ archives: Archives; uniqueBytes: number }> {
  const base = await debianTree(basePackages)
  const archives = await cached('bench-builds', { base, recipe: 1 }, async (folder) => {
    await mkdir(folder)
    await withScratch(async (scratch) => {
      await cp(join(base, 'usr/lib'), join(scratch, 'app'), { recursive: true, verbatimSymlinks: true })
      const files = (await readdir(scratch, { recursive: true, withFileTypes: true })).filter((each) => each.isFile())
      const unique = new Map<string, number>()
      for (let build = 0; build < 10; build++) {
        for (const { parentPath, name } of files.filter((_, index) => index % 50 === build)) {
          await appendFile(join(parentPath, name), `build ${build}\n`)
        }
        for (const { parentPath, name } of files) {
          const path = join(parentPath, name)
          await utimes(path, 1_700_000_000, 1_700_000_000)
          const bytes = await readFile(path)
          unique.set(createHash('sha256').update(bytes).digest('hex'), bytes.length)
        }
        await archive(join(folder, `build-${build}.tar`), scratch, ['app'])
      }
      const bytes = [...unique.values()].reduce((sum, size) => sum + size, 0)
      await writeFile(join(folder, 'unique'), String(bytes))
    })
    await compressAll(folder)
  })
  return { archives, uniqueBytes: Number(await readFile(join(archives, 'unique'), 'utf8')) }
}

/** One file of 4 GiB, of which every piece differs and can be compressed. */
export async function largeFileArchives(): Promise<Archives> {
  return await cached('bench-large', { recipe: 1 }, async (folder) => {
    await mkdir(folder)
    await withScratch(async (scratch) => {
      await execute(['sh', '-c', 'seq 1 500000000 | head -c 4294967296 >large'], { cwd: scratch, timeout })
      await archive(join(folder, 'large.tar'), scratch, ['large'])
    })
    await execute(['gzip', '--fast', join(folder, 'large.tar')], { timeout })
    await writeFile(join(folder, 'large.diff-id'), await fileDigest(join(folder, 'large.tar.gz'), { unzip: true }))
  })
}

/** An image of some of the archives, base first. */
export async function imageOf(folder: Archives, names: readonly string[], form: Compression): Promise<LabImage> {
  const layers: Layer[] = []
  for (const name of names) {
    const path = join(folder, `${name}.tar${suffixes[form]}`)
    const diffId = await readFile(join(folder, `${name}.diff-id`), 'utf8')
    layers.push({ compression: form, diffId, bytes: await readFile(path) })
  }
  return assembleImage(layers, { config: { Cmd: ['/bin/sh'] } })
}

const suffixes: Record<Compression, string> = { gzip: '.gz', zstd: '.zst', none: '' }

const timeout = 900_000

function archive(path: string, folder: string, names: readonly string[]): Promise<unknown> {
  return execute(['tar', '--numeric-owner', '--sort=name', '-cf', path, '-C', folder, ...names], { timeout })
}

async function compressAll(folder: Archives): Promise<void> {
  await ensurePackages(['zstd'])
  announce('compressing the layers of the bench')
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.tar'))) {
    const path = join(folder, file)
    await execute(['gzip', '--keep', path], { timeout })
    await execute(['zstd', '--quiet', '--keep', path], { timeout })
    await writeFile(path.replace(/\.tar$/, '.diff-id'), await fileDigest(path, { unzip: false }))
  }
}

async function fileDigest(path: string, { unzip }: { unzip: boolean }): Promise<string> {
  const words = [unzip ? 'gzip -dc' : 'cat', '"$1" | sha256sum']
  const { stdout } = await execute(['sh', '-c', words.join(' '), 'sh', path], { timeout })
  return `sha256:${stdout.slice(0, 64)}`
}

async function withScratch(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'forerun-bench-'))
  try {
    await work(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}
