import { createHash, sign } from 'node:crypto'
import { json } from '@sigstore/core'
import { ecKeys, type KeyPair } from './authority.ts'

/** A transparency log of the test's own, which signs as Rekor does. */
export interface TestLog extends KeyPair {
  readonly id: Buffer
}

export function testLog(keys: KeyPair = ecKeys()): TestLog {
  return {
    ...keys,
    id: createHash('sha256')
      .update(keys.publicKey.export({ type: 'spki', format: 'der' }))
      .digest(),
  }
}

export interface Entry {
  readonly body: string
  readonly integratedTime: number
  readonly logIndex: number
  readonly logID: string
}

export function entryOf(log: TestLog, body: object, time: Date): Entry {
  const integratedTime = Math.floor(time.getTime() / 1000)
  const text = Buffer.from(JSON.stringify(body)).toString('base64')
  return { body: text, integratedTime, logIndex: 4711, logID: log.id.toString('hex') }
}

/** The "signed entry timestamp". */
export function promise(log: TestLog, entry: Entry): Buffer {
  return sign('sha256', Buffer.from(json.canonicalize(entry)), log.privateKey)
}

export function hashedRecord(parts: { signature: Buffer; verifier: string | Buffer; message: Buffer }): object {
  const value = createHash('sha256').update(parts.message).digest('hex')
  const publicKey = { content: Buffer.from(parts.verifier).toString('base64') }
  return {
    apiVersion: '0.0.1',
    kind: 'hashedrekord',
    spec: {
      data: { hash: { algorithm: 'sha256', value } },
      signature: { content: parts.signature.toString('base64'), publicKey },
    },
  }
}

export function envelopeRecord(parts: { signature: Buffer; verifier: string | Buffer; payload: Buffer }): object {
  const value = createHash('sha256').update(parts.payload).digest('hex')
  const verifier = Buffer.from(parts.verifier).toString('base64')
  return {
    apiVersion: '0.0.1',
    kind: 'dsse',
    spec: {
      envelopeHash: { algorithm: 'sha256', value: '0'.repeat(64) },
      payloadHash: { algorithm: 'sha256', value },
      signatures: [{ signature: parts.signature.toString('base64'), verifier }],
    },
  }
}

/** A proof, as bundles have it, that the leaf `index` is in the tree of these leaves. */
export function inclusionProof(log: TestLog, leaves: readonly Buffer[], index: number) {
  const root = treeHash(leaves)
  const text = `log.example - 42\n${leaves.length}\n${root.toString('base64')}\n`
  const signature = Buffer.concat([log.id.subarray(0, 4), sign('sha256', Buffer.from(text), log.privateKey)])
  return {
    logIndex: String(index),
    rootHash: root.toString('base64'),
    treeSize: String(leaves.length),
    hashes: path(leaves, index).map((hash) => hash.toString('base64')),
    checkpoint: { envelope: `${text}\n— log.example ${signature.toString('base64')}\n` },
  }
}

/** RFC 9162, section 2.1.1. */
function treeHash(leaves: readonly Buffer[]): Buffer {
  const [leaf] = leaves
  if (leaves.length === 1 && leaf !== undefined) return hash(Buffer.of(0), leaf)
  const split = splitOf(leaves.length)
  return hash(Buffer.of(1), treeHash(leaves.slice(0, split)), treeHash(leaves.slice(split)))
}

/** RFC 9162, section 2.1.3.1. */
function path(leaves: readonly Buffer[], index: number): Buffer[] {
  if (leaves.length === 1) return []
  const split = splitOf(leaves.length)
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)]
  return index < split ? [...path(left, index), treeHash(right)] : [...path(right, index - split), treeHash(left)]
}

/** The largest power of two below a number. */
function splitOf(size: number): number {
  return 2 ** Math.ceil(Math.log2(size) - 1)
}

function hash(...parts: readonly Buffer[]): Buffer {
  return createHash('sha256').update(Buffer.concat(parts)).digest()
}
