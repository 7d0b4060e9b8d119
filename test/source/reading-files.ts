import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type ErrorCode, ForerunError } from '../../src/errors.ts'
import type { Digest } from '../../src/image/digest.ts'
import type { Platform } from '../../src/image/platform.ts'
import type { ImageSource, ResolvedManifest, TransferContext } from '../../src/source/source.ts'
import { sha256 } from '../lab/layer.ts'

/** Of the images that the lab makes without saying which. */
export const here: Platform = { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch }

export const context: TransferContext = { signal: new AbortController().signal, emit: () => {} }

/** A folder that is gone after the test. */
export function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'forerun-source-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** The manifest, once it and each blob of the image have been read and are what their descriptors say. */
export async function readWhole(source: ImageSource, platform = here): Promise<ResolvedManifest> {
  await using opened = source
  const resolved = await opened.manifest(platform, context)
  assert.equal(sha256(resolved.bytes), resolved.digest)
  const { config, layers } = resolved.manifest
  for (const descriptor of [config, ...(opened.forwardOrder?.(layers) ?? layers)]) {
    const bytes = await readBlob(opened, descriptor)
    assert.equal(bytes.length, descriptor.size)
    assert.equal(sha256(bytes), descriptor.digest)
  }
  return resolved
}

export async function readBlob(
  source: ImageSource,
  descriptor: { mediaType: string; digest: string; size: number },
  options: { offset?: number } = {},
): Promise<Buffer> {
  const { digest } = descriptor
  return Buffer.concat(
    await Array.fromAsync(source.blob({ ...descriptor, digest: digest as Digest }, context, options)),
  )
}

/** Awaits one error for a user, with a hint, of a code and of words; it names the path when that is given. */
export async function refused(
  work: Promise<unknown>,
  { code, message, path }: { code: ErrorCode; message: RegExp; path?: string },
): Promise<ForerunError> {
  const error: unknown = await work.then(
    () => assert.fail('nothing was refused'),
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof ForerunError)) throw error
  assert.match(error.message, message)
  assert.equal(error.code, code, error.message)
  assert.doesNotMatch(error.message, /\n/)
  assert.ok(error.hint)
  if (path !== undefined) assert.ok(error.message.includes(path), error.message)
  return error
}
