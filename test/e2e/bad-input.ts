import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { busyboxImage, type Exports, serviceExports } from '../lab/busybox.ts'
import type { LabImage } from '../lab/image.ts'
import type { ExecResult } from '../lab/process.ts'
import { differences, type Snapshot, type SnapshotOptions, snapshot } from '../lab/snapshot.ts'
import type { Handler } from '../source/registry/server.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/** What a command that is refused has to say. */
export interface Complaint {
  /** Stable code of the error; `usage` has the exit status 2, `interrupted` 130, all others 1. */
  readonly code: string
  /** Of the one line that names the cause. */
  readonly message: RegExp
  readonly hint?: RegExp
  /** Whether a pull succeeds before: then only the store may differ. Default false. */
  readonly pulled?: boolean
}

/** A host whose forerun gives up on registries quickly. */
export async function impatientHost(): Promise<InstalledHost> {
  const lab = await installedHost({ settle: 0.5 })
  writeFileSync(join(lab.host.root, 'etc/forerun/forerun.conf'), '[registry]\nretries = 1\ntimeout = 2\n')
  return lab
}

/**
 * Runs forerun with `--json` and asserts all that holds for bad input: the complaint on standard error and as JSON, its
 * exit status, no stack trace, and the host as it was.
 */
export async function assertRefused(lab: InstalledHost, words: readonly string[], complaint: Complaint): Promise<void> {
  const before = state(lab, complaint)
  const argv = ['forerun', ...asJson(words)]
  assertComplaint(await lab.host.exec(argv, { check: false }), complaint)
  assert.deepEqual(differences(before, state(lab, complaint)), [])
  assertNothingUnfinished(lab)
}

/** What follows `--` is no option. */
function asJson(words: readonly string[]): string[] {
  const end = words.indexOf('--')
  return end < 0 ? [...words, '--json'] : words.toSpliced(end, 0, '--json')
}

/** Of the output of a command with `--json`. */
export function assertComplaint({ status, stdout, stderr }: ExecResult, { code, message, hint }: Complaint): void {
  const said = `status ${status}\n${stdout}${stderr}`
  const { error } = parsed(stdout, said)
  assert.equal(error.code, code, said)
  assert.match(error.message, message, said)
  assert.ok(!error.message.includes('\n'), said)
  assert.equal(status, code === 'usage' ? 2 : code === 'interrupted' ? 130 : 1, said)
  assert.ok(stderr.includes(`forerun: ${error.message}\n`), said)
  assert.doesNotMatch(stderr, /^\s+at /m)
  if (code === 'interrupted' && hint === undefined) return
  assert.ok(error.hint !== null && error.hint !== '', `there is no hint: ${said}`)
  assert.match(error.hint, hint ?? /./, said)
  assert.ok(stderr.includes(`hint: ${error.hint}\n`), said)
}

/** Nothing waits in staging folders, no journal is left, and nothing is mounted. */
export function assertNothingUnfinished(lab: InstalledHost): void {
  const left = [...inside(lab, { paths: ['/var/lib', '/etc', '/usr/local'] }).keys()]
  const unfinished = /\/\.staging-|\/\.forerun-|\.forerun-[0-9a-f]{12}$|\/journal\/./
  assert.deepEqual(
    left.filter((path) => unfinished.test(path)),
    [],
  )
  const mounts = readFileSync(`/proc/${lab.host.leader}/mounts`, 'utf8')
  assert.deepEqual(
    mounts.split('\n').filter((line) => line.split(' ')[1]?.startsWith('/var/lib/forerun/')),
    [],
  )
}

/** An image of a service that runs, with parts of `/exports` replaced. */
export function serviceWith(exports: Exports = {}): Promise<LabImage> {
  return busyboxImage({ exports: { ...serviceExports(serviceWords), ...exports } })
}

/** Ends at once when it is told to, as the first process of a container does only if it says so. */
export const serviceWords: readonly string[] = ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.05; done']

/** A registry of one image, whatever repository and tag is asked for. `manifest` replaces that of the image. */
export function registryOfOne(image: LabImage, manifest: Buffer | undefined = image.manifests.at(-1)?.bytes): Handler {
  const documents = new Map(image.manifests.map(({ digest, bytes }) => [digest, bytes]))
  return (request, response) => {
    const [, kind, name = ''] = /\/(manifests|blobs)\/([^/]+)$/.exec(request.url ?? '') ?? []
    if (kind === undefined) return void response.end('{}')
    const bytes = kind === 'blobs' ? image.blobs.get(name) : (documents.get(name) ?? manifest)
    if (bytes === undefined) return void response.writeHead(404).end('{}')
    response.setHeader('content-length', bytes.length).end(bytes)
  }
}

/** Files where an installation would leave something; the store too, unless something was pulled into it. */
function state(lab: InstalledHost, { pulled = false }: Complaint): Snapshot {
  const places = ['/etc', '/usr/local', '/opt', '/srv', '/root', '/home', '/var']
  const all = inside(lab, { paths: places, except: pulled ? ['/var/lib/forerun/store'] : [] })
  // Folders of forerun itself, which the first command makes whatever comes of it.
  return new Map([...all].filter(([path, line]) => !(path.startsWith('/var/lib/forerun') && /^directory /.test(line))))
}

/** With what is mounted in the host. */
function inside(lab: InstalledHost, options: SnapshotOptions): Snapshot {
  return snapshot(`/proc/${lab.host.leader}/root`, options)
}

function parsed(stdout: string, said: string): { error: { code: string; message: string; hint: string | null } } {
  try {
    return JSON.parse(stdout)
  } catch (cause) {
    throw new Error(`standard output is no JSON\n${said}`, { cause })
  }
}
